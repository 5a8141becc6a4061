"""Capabilities: what this host may give to a container."""

from __future__ import annotations

from pathlib import Path

# In the order of their bits (linux/capability.h).
NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()


def missing(status: str) -> tuple[str, ...]:
    """The capabilities that are not in the bounding set, from the text of /proc/PID/status."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapBnd":
            bits = int(value.strip(), 16)
            return tuple(cap for bit, cap in enumerate(NAMES) if not bits >> bit & 1)
    return ()


def missing_here() -> tuple[str, ...]:
    """The capabilities that this host does not give, not even to root."""
    return missing(Path("/proc/self/status").read_text(encoding="ascii"))
