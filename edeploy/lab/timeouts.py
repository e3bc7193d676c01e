"""How long the lab waits for others, in seconds, and why."""

GUEST_PROBE = 20.0
"""iPXE starts in 0.9 s under TCG; the rest is for a machine under load."""

BMC_START = 10.0
"""ipmi_sim opens its port within 0.1 s; the rest is for a machine under load."""

END = 5.0
"""QEMU and ipmi_sim end on SIGTERM at once, a service that tidies up may take seconds."""

KILLED = 10.0
"""After SIGKILL only the kernel's own work is left; more than this is a fault to be told."""

QMP_ANSWER = 10.0
"""QEMU answers its monitor in milliseconds, later when two cores carry several guests."""

QEMU_START = 30.0
"""QEMU daemonizes once its disks and sockets are open."""

SERVE_START = 30.0
"""`edeploy serve` answers in about two seconds; the rest is for a machine under load."""

SERVE_STOP = 20.0
"""It drains requests and ends dnsmasq and rsync, each with a limit of its own."""

POLL = 0.1
"""Between two looks at something that tells no event when it is ready."""

PAGE = 60.0
"""From `active` until the web server answers: it starts beside the call-home."""
