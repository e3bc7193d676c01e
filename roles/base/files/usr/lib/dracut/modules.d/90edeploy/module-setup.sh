#!/bin/bash
# Puts into dracut's initramfs what starts one of the machine's versions.

check() {
	return 0
}

depends() {
	echo base
}

install() {
	inst_multiple cat chroot mkdir mount umount
	inst_simple /usr/lib/edeploy/pivot
	inst_hook pre-pivot 00 "$moddir/edeploy.sh"
}

installkernel() {
	# systemd mounts it here or not at all; it tells that systemd-boot started the machine.
	instmods efivarfs
}
