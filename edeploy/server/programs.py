"""Which programs run beside the service, with the files that they need."""

import os
import pwd
import shutil
from pathlib import Path

from edeploy import atomic
from edeploy.boot import dnsmasq, rsyncd
from edeploy.server.children import Child
from edeploy.server.network import Place
from edeploy.server.settings import Settings


def dnsmasq_user() -> str:
    """The user of Debian's package, else nobody."""
    try:
        return pwd.getpwnam("dnsmasq").pw_name
    except KeyError:
        return "nobody"


def children_of(settings: Settings, place: Place) -> list[Child]:
    """The children that these settings want, in the order of their start."""
    state = settings.server.state_dir
    children = []
    if settings.rsync.enabled:
        config = f"--config={state / 'rsyncd.conf'}"
        children.append(_child(state, ("rsync", "--daemon", "--no-detach", config)))
    if settings.dhcp.mode != "off":
        config = f"--conf-file={dnsmasq.Folder(state / 'dnsmasq').config}"
        children.append(_child(state, ("dnsmasq", config), dnsmasq_user()))
    if tests_network(settings):
        port = str(settings.health.network_port)
        words = ("iperf3", "--server", "--bind", place.address, "--port", port)
        children.append(_child(state, words, "nobody" if os.geteuid() == 0 else ""))
    return children


def tests_network(settings: Settings) -> bool:
    """Whether there is an iperf3 server: it is wanted, and installed."""
    return settings.health.network and shutil.which("iperf3") is not None


def write_files(settings: Settings, place: Place) -> None:
    """Make the children's folders and configurations; those before are replaced whole."""
    state = settings.server.state_dir
    for name in ("run", "log"):
        (state / name).mkdir(mode=0o700, exist_ok=True)
    if settings.rsync.enabled:
        text = rsyncd.config(
            store=settings.store.path,
            network=place.network,
            log_file=state / "log" / "rsync.log",
            bind=place.address,
            port=settings.rsync.port,
        )
        atomic.write(state / "rsyncd.conf", text)
    if settings.dhcp.mode != "off":
        _write_dnsmasq(settings, place, dnsmasq.Folder(state / "dnsmasq"))


def _write_dnsmasq(settings: Settings, place: Place, folder: dnsmasq.Folder) -> None:
    section = settings.dhcp
    dhcp = dnsmasq.Dhcp(
        mode=section.mode,
        interface=place.interface,
        address=place.address,
        port=settings.server.port,
        netmask=place.netmask,
        range_start=section.range_start,
        range_end=section.range_end,
        router=section.router,
        dns=section.dns,
        lease_minutes=section.lease_minutes,
        router_advertisement=section.router_advertisement,
    )
    for path in (folder.root, folder.leases.parent):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    entry = pwd.getpwnam(dnsmasq_user())
    os.chown(folder.leases.parent, entry.pw_uid, entry.pw_gid)
    dnsmasq.copy_firmware(folder)
    folder.tftp.chmod(0o755)
    atomic.write(folder.config, dnsmasq.config(dhcp, folder))


def _child(state: Path, argv: tuple[str, ...], user: str = "") -> Child:
    name = argv[0]
    return Child(
        name=name,
        argv=argv,
        log=state / "log" / f"{name}.log",
        pid_file=state / "run" / f"{name}.pid",
        user=user,
    )
