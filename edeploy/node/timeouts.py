"""How long a machine waits for what, in seconds, and why that long."""

# One attempt to reach the server: a switch that just came up answers within a few seconds.
CONNECT = 10.0
# A connection on which no byte comes for this long is taken for dead and made anew.
STALL = 30.0
# The server may be restarted or upgraded meanwhile; the job's own deadline, which the server
# keeps, is what ends a hopeless install.
SERVER_AWAY = 20 * 60.0
# First and longest pause between two attempts: quick after a restart, and no storm from a rack.
RETRY_FIRST = 0.25
RETRY_LONGEST = 15.0
# Spanning tree keeps a port silent for up to 50 s, and DHCP servers may be late after a power cut.
LINKS = 5 * 60.0
# udev names a link within a second; a link that it never names is used as the kernel named it.
UDEV_NAMES = 10.0
# All disks known: storage controllers with many disks take long to probe them.
UDEV_SETTLE = 120.0
# Reports of phases go out about once a second, together.
REPORT_EVERY = 1.0
# At the end the last reports must arrive, as the server decides by them.
LAST_REPORTS = 5 * 60.0
# Between two lines about the same step on a console.
CONSOLE_EVERY = 2.0
# Programs of the agent itself (ip, kexec): done in a moment, or stuck.
PROGRAM = 60.0
# One probe; all run at once, so the longest patience is that of detection. Files of the kernel and
# one program take a second; what takes longer is stuck, and the rest is reported.
PROBE = 30.0
# Many disks are asked at a time, and a dying one may take as long as one program may.
PROBE_SMART = 45.0
# Some BMCs tell one sensor in a tenth of a second, and have a hundred. Nothing waits for more: they
# are of the moment, and the machine has work to do.
PROBE_SENSORS = 15.0
# Makers' programs take a second for each question, and there are some for every disk.
PROBE_RAID = 60.0
# One program of a probe. A BMC answers within seconds, or not at all.
PROBE_PROGRAM = 20.0
# Between two times that we tell a switch who we are, and how long it shall believe that: the
# standard's own figures.
ANNOUNCE_EVERY = 30.0
ANNOUNCED_FOR = 120
# Where a machine is plugged in is good to know, and not worth keeping it from its first boot.
LATE_FACTS = 10.0
# Between two looks at whether the server still wants what a silent program does.
TICK = 1.0
# Mounting replays a journal; unmounting writes all that is in memory to a slow disk.
MOUNT = 10 * 60.0
# One step of partitioning: mkfs of a large RAID on slow disks.
FORMAT = 30 * 60.0
# The kernel makes partitions' nodes before sfdisk ends; udev may rename under load.
DEVICE_NODES = 30.0
# One order to the machine's own BMC; a restart of it is not waited for.
BMC = 60.0
# grub-install and update-grub run dozens of programs: 11 s under emulation, minutes on a slow disk.
BOOT_LOADER = 15 * 60.0
# Writing to the firmware's flash takes seconds on some boards.
FIRMWARE = 60.0
# The iperf3 server takes one machine at a time: how long one waits for its turn, and the longest
# pause between two times that it asks.
BENCH_TURN = 15 * 60.0
BENCH_BUSY = 4.0
# Whether a card reaches the server: a connection on a local network takes milliseconds.
BENCH_REACH = 3.0
# A program that was killed and hangs in the kernel is left behind after this.
BENCH_KILLED = 10.0
# Where a test stands is good to know, and not worth a wait.
BENCH_PROGRESS = 5.0
# The programs of a test, some 80 MB into memory, on one slow core.
UNPACK_TOOLS = 5 * 60.0
# A version on trial does its job, or the machine goes back: services of a slow machine take
# minutes to come up. A role may say otherwise, up to the trial's deadline in
# roles/base/files/usr/lib/systemd/system/edeploy-trial-deadline.timer.
HEALTH = 5 * 60.0
HEALTH_AGAIN = 1.0
HEALTH_ANSWER = 10.0
HEALTH_SCRIPT = 60.0
