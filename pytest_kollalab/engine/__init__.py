"""The engine that builds or reuses stages, independent of OpenStack, docker and libvirt."""
