"""An image as a disk that a cloud or a virtual machine starts."""
