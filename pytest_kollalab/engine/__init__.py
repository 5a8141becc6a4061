"""The engine that builds or reuses stages; it knows no OpenStack, no docker and no libvirt."""
