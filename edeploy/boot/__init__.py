"""What firmware is told: DHCP, TFTP, iPXE scripts, kernel arguments."""
