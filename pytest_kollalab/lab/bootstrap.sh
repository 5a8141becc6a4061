#!/usr/bin/env bash
# Makes this host ready for labs: system packages, the kernel's tun device, the Docker daemon. `kollalab bootstrap` runs it, and
# ./bootstrap in a clone. Run it as often as you like: what is there already is left alone, and then it takes well under three seconds.
#
#   --machines              what virtual machines need as well: QEMU, libvirt and its daemon, what libvirt-python is compiled with
#   --tox                   tox as well
#   --list [DISTRIBUTION]   print what to install on debian, fedora, rhel, suse or arch (default: this one), and do nothing
set -euo pipefail

readonly TOX_VENV="${XDG_DATA_HOME:-$HOME/.local/share}/kollalab/tox"
readonly LOG_DIR="${XDG_STATE_HOME:-$HOME/.local/state}/kollalab/bootstrap"
readonly DAEMON_TIMEOUT=60   # seconds until a started daemon must answer
readonly OLDEST_PYTHON="3.11"

# The same order everywhere: containers, image building, networks, guest images, looking at packets.
readonly DEBIAN=(docker.io mmdebstrap debian-archive-keyring python3-venv
  iptables iproute2 openssh-client ca-certificates gpg procps
  busybox-static cpio xorriso zstd tcpdump ethtool git patch)
# Virtual machines, their networks, compiling libvirt-python.
readonly DEBIAN_MACHINES=(qemu-system-x86 qemu-utils libvirt-daemon-system libvirt-clients
  libvirt-dev pkg-config gcc libc6-dev python3-dev
  btrfs-progs dnsmasq-base)
readonly FEDORA=(moby-engine mmdebstrap debian-keyring
  iptables-nft iproute openssh-clients ca-certificates
  busybox cpio xorriso zstd tcpdump ethtool git patch)
readonly FEDORA_MACHINES=(qemu-system-x86-core qemu-img libvirt-daemon-kvm libvirt-client
  libvirt-devel pkgconf-pkg-config gcc glibc-devel python3-devel
  btrfs-progs dnsmasq)
# RHEL and its kin have no moby-engine, btrfs-progs or mmdebstrap of their own: Docker's repository and EPEL do.
readonly RHEL=(docker-ce mmdebstrap debian-keyring python3.11
  iptables-nft iproute openssh-clients ca-certificates
  cpio xorriso zstd tcpdump ethtool git patch)
readonly RHEL_MACHINES=(qemu-kvm qemu-img libvirt-daemon-kvm libvirt-client
  libvirt-devel pkgconf-pkg-config gcc glibc-devel python3.11-devel
  dnsmasq)
readonly SUSE=(docker mmdebstrap debian-keyring
  iptables iproute2 openssh-clients ca-certificates
  busybox-static cpio xorriso zstd tcpdump ethtool git patch)
readonly SUSE_MACHINES=(qemu-x86 qemu-tools libvirt-daemon-qemu libvirt-client
  libvirt-devel pkg-config gcc glibc-devel python311-devel
  btrfsprogs dnsmasq)
readonly ARCH=(docker mmdebstrap debian-archive-keyring python
  iptables-nft iproute2 openssh ca-certificates
  busybox cpio libisoburn zstd tcpdump ethtool git patch)
readonly ARCH_MACHINES=(qemu-system-x86 qemu-img libvirt
  pkgconf gcc
  btrfs-progs dnsmasq)
# What must be callable afterwards, whoever installed it.
readonly COMMANDS=(dockerd mmdebstrap ip iptables ssh cpio zstd git patch)
readonly COMMANDS_MACHINES=(qemu-system-x86_64 qemu-img virsh gcc pkg-config)

machines="" tox=""           # whether they are asked for
again="kollalab bootstrap"   # how this script is run again

say() { printf 'bootstrap: %s\n' "$*" >&2; }

# die WHAT [WHAT-NOW]
die() {
  printf 'bootstrap: error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  what now: %s\n' "$2" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Said before the output of a command goes into a log.
need_root() {
  [ "$(id -u)" = 0 ] || have sudo || die "$1 needs root" "run $again as root, or install sudo"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -E "$@"   # -E: proxies and certificate settings of the caller
  fi
}

# tail_of LOG: its last lines, indented, to show why something failed
tail_of() { [ ! -s "$1" ] || tail -n 12 "$1" | sed 's/^/  | /' >&2; }

# --- system packages ---------------------------------------------------------------------------

distribution() {
  local ID="" ID_LIKE=""
  [ ! -r /etc/os-release ] || . /etc/os-release
  case " $ID $ID_LIKE " in
    *" debian "* | *" ubuntu "*) echo debian ;;
    *" rhel "* | *" centos "*) if [ "$ID" = fedora ]; then echo fedora; else echo rhel; fi ;;
    *" fedora "*) echo fedora ;;
    *suse*) echo suse ;;
    *" arch "*) echo arch ;;
    *) echo "${ID:-unknown}" ;;
  esac
}

# list_of NAME: the packages of a distribution, or the commands
list_of() {
  local -n always="$1" more="$1_MACHINES"
  echo "${always[@]}" ${machines:+"${more[@]}"}
}

install_line() {
  case "$1" in
    debian) echo "apt-get install --no-install-recommends $(list_of DEBIAN)" ;;
    fedora) echo "dnf install $(list_of FEDORA)" ;;
    rhel) echo "dnf install $(list_of RHEL)" ;;
    suse) echo "zypper install $(list_of SUSE)" ;;
    arch) echo "pacman -S --needed $(list_of ARCH)" ;;
    *) echo "your package manager, with the counterparts of Debian's $(list_of DEBIAN)" ;;
  esac
}

# Packages of Debian's list that are not installed; Docker may come from elsewhere, or be on another host.
missing_debian_packages() {
  local installed wanted package
  read -ra wanted <<<"$(list_of DEBIAN)"
  # Debian 13 cut the client out of docker.io.
  if ! have docker && apt-cache show docker-cli >/dev/null 2>&1; then wanted+=(docker-cli); fi
  installed=" $(dpkg-query -W -f '${db:Status-Status}=${Package} ' "${wanted[@]}" 2>/dev/null || true)"
  for package in "${wanted[@]}"; do
    case "$package" in
      docker.io) if [ -n "${DOCKER_HOST:-}" ] || have dockerd; then continue; fi ;;
    esac
    [[ "$installed" == *" installed=$package "* ]] || echo "$package"
  done
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null; }

install_debian_packages() {
  local missing update_log="$LOG_DIR/apt-update.log" log="$LOG_DIR/apt-install.log"
  mapfile -t missing < <(missing_debian_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0
  say "installing ${#missing[@]} packages: ${missing[*]}"
  need_root "installing them"
  # A repository that has nothing to do with us may be out of reach: only the installation decides.
  apt -q update >"$update_log" 2>&1 || true
  if apt -q -y install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    # A package installed for the first time may bring the name of the client with it.
    if ! have docker && [ -n "$(missing_debian_packages)" ]; then
      apt -q -y install --no-install-recommends docker-cli >>"$log" 2>&1 || true
    fi
    return 0
  fi
  grep -hE '^(E|Err|W):|^E ' "$update_log" | tail -n 5 | sed 's/^/  | /' >&2 || true
  tail_of "$log"
  die "apt could not install: ${missing[*]}" \
    "check the network and 'apt-get update' (logs: $update_log, $log), then run $again again"
}

check_other_distribution() {
  local command missing=()
  for command in $(list_of COMMANDS); do
    have "$command" || missing+=("$command")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  die "not found: ${missing[*]} (packages are installed for you on Debian and Ubuntu only; this is '$1')" \
    "$(install_line "$1"), then run $again again"
}

# --- daemons -----------------------------------------------------------------------------------

systemd_runs() { [ -d /run/systemd/system ]; }

# wait_for WHAT PROBE...: until the probe succeeds; fails after DAEMON_TIMEOUT
wait_for() {
  local what=$1 end=$((SECONDS + DAEMON_TIMEOUT))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.3
  done
  say "$what answers"
}

# As the user first: no password is asked for when there is nothing to do.
answers() { "$@" >/dev/null 2>&1 || { [ "$(id -u)" != 0 ] && have sudo && as_root "$@" >/dev/null 2>&1; }; }
docker_answers() { answers docker version; }

start_docker() {
  local log="$LOG_DIR/dockerd.log"
  if [ -n "${DOCKER_HOST:-}" ]; then
    docker version >/dev/null 2>&1 || die "the Docker daemon at DOCKER_HOST=$DOCKER_HOST does not answer" \
      "start it, or unset DOCKER_HOST to use this host's"
    return 0
  fi
  docker_answers && return 0
  say "starting Docker"
  need_root "starting Docker"
  if systemd_runs; then
    as_root systemctl start docker >"$log" 2>&1 || true
  elif [ -x /etc/init.d/docker ]; then
    as_root service docker start >"$log" 2>&1 </dev/null || true
  fi
  if ! systemd_runs && ! wait_for_pid dockerd; then
    as_root setsid dockerd >"$log" 2>&1 </dev/null &
    disown
  fi
  wait_for Docker docker_answers && return 0
  tail_of "$log"
  if systemd_runs; then as_root journalctl -u docker -n 12 --no-pager 2>/dev/null | sed 's/^/  | /' >&2 || true; fi
  [ ! -r /var/log/docker.log ] || tail_of /var/log/docker.log
  die "the Docker daemon did not answer within $DAEMON_TIMEOUT s" \
    "run 'dockerd' as root by hand to see why, then run $again again"
}

# An init script returns before its daemon has written a pid: give it two seconds.
wait_for_pid() {
  local _
  for _ in 1 2 3 4 5 6 7 8; do
    if pgrep -x "$1" >/dev/null; then return 0; fi
    sleep 0.25
  done
  return 1
}

# "uri" only connects; "version" would have libvirt probe every emulator, which takes seconds.
libvirt_answers() { answers virsh --quiet --connect qemu:///system uri; }

# Where no udev runs, /dev/kvm is root's alone. QEMU's own user cannot open it then, and libvirt, which can, takes that for
# a change of the host: it asks QEMU for its abilities anew at every call, which takes seconds.
share_kvm() {
  [ -c /dev/kvm ] && ! systemd_runs && getent group kvm >/dev/null || return 0
  [ "$(stat -c %U:%G:%a /dev/kvm)" = root:root:600 ] || return 0
  say "giving /dev/kvm to the group kvm"
  need_root "giving /dev/kvm to the group kvm"
  as_root chgrp kvm /dev/kvm && as_root chmod 660 /dev/kvm
}

start_libvirt() {
  local log="$LOG_DIR/libvirtd.log"
  if ! have libvirtd && ! have virtqemud; then return 0; fi   # a remote libvirt is a URI, not a daemon here
  share_kvm
  libvirt_answers && return 0
  say "starting libvirt"
  need_root "starting libvirt"
  if systemd_runs; then
    as_root systemctl start libvirtd >"$log" 2>&1 || as_root systemctl start virtqemud.socket >>"$log" 2>&1 || true
  else
    # virtlogd first: a domain's console goes through it, and only systemd would start it on demand.
    pgrep -x virtlogd >/dev/null || as_root virtlogd -d >"$log" 2>&1 </dev/null || true
    pgrep -x libvirtd >/dev/null || as_root libvirtd -d >>"$log" 2>&1 </dev/null || true
  fi
  wait_for libvirt libvirt_answers && return 0
  tail_of "$log"
  die "libvirtd did not answer within $DAEMON_TIMEOUT s" \
    "run 'libvirtd' as root by hand to see why, then run $again again"
}

load_tun() {
  [ ! -e /sys/class/misc/tun ] || return 0
  say "loading the kernel's module tun"
  need_root "loading the kernel's module tun"
  as_root modprobe tun >/dev/null 2>&1 ||
    say "note: the kernel has no tun device, which Open vSwitch needs; a lab cannot run here before it has"
}

may_use_docker() {
  [ "$(id -u)" != 0 ] && [ -z "${DOCKER_HOST:-}" ] || return 0
  docker version >/dev/null 2>&1 || say "note: your user may not use Docker yet:" \
    "sudo usermod -aG docker${machines:+,libvirt} $(id -un), then log in again"
}

# --- tox ---------------------------------------------------------------------------------------

is_new_enough() {
  "$1" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < (${OLDEST_PYTHON/./, }))" >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
    if have "$candidate" && is_new_enough "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

# A tox of someone else will do if it runs, on a Python that can run us.
tox_is_usable() {
  local tox interpreter
  tox=$(command -v tox) || return 1
  interpreter=$(sed -n '1s/^#! *//p' "$tox" 2>/dev/null) || return 1
  [ -x "$interpreter" ] && is_new_enough "$interpreter" && "$interpreter" -c 'import tox' 2>/dev/null
}

install_tox() {
  local python log="$LOG_DIR/tox.log" bin="$HOME/.local/bin"
  tox_is_usable && return 0
  [ "$(id -u)" != 0 ] || bin=/usr/local/bin
  if ! "$TOX_VENV/bin/python" -c 'import tox' 2>/dev/null; then
    python=$(find_python) || die "no Python $OLDEST_PYTHON or newer with the venv module" \
      "install one (Debian 12+: python3-venv; Ubuntu 22.04: python3.11-venv) and run $again again"
    say "installing tox with $python"
    # No system site packages, no pip --user: both are refused by distributions that manage Python themselves.
    if ! { "$python" -m venv --clear "$TOX_VENV" && "$TOX_VENV/bin/python" -m pip install 'tox>=4.24'; } >"$log" 2>&1; then
      tail_of "$log"
      die "tox could not be installed" "check the network and pip's settings (log: $log), then run $again again"
    fi
  fi
  mkdir -p "$bin"
  ln -sfn "$TOX_VENV/bin/tox" "$bin/tox"
  hash -r
  case ":$PATH:" in
    *":$bin:"*) ;;
    *) say "note: $bin is not in your PATH; add it, or call $bin/tox" ;;
  esac
  if have tox && [ "$(command -v tox)" != "$bin/tox" ]; then
    say "note: $(command -v tox) comes first in your PATH and cannot be used; call $bin/tox"
  fi
}

main() {
  local system
  [ "$(uname -s)" = Linux ] || die "this is $(uname -s): the lab's nodes need Linux" "run it on a Linux host or virtual machine"
  while [ $# -gt 0 ]; do
    case "$1" in
      --machines) machines=yes again="kollalab bootstrap --provider libvirt" ;;
      --tox) tox=yes ;;
      *) break ;;
    esac
    shift
  done
  [ -z "$tox" ] || again=./bootstrap
  system=$(distribution)
  if [ "${1:-}" = --list ]; then
    install_line "${2:-$system}"
    return 0
  fi
  [ $# -eq 0 ] || die "unknown argument: $1" "see the first lines of $0"
  mkdir -p "$LOG_DIR"
  if [ "$system" = debian ]; then install_debian_packages; else check_other_distribution "$system"; fi
  load_tun
  start_docker
  [ -z "$machines" ] || start_libvirt
  may_use_docker
  if [ -n "$tox" ]; then
    install_tox
    say "ready ($SECONDS s); next: tox, or tox -e scenarios"
  else
    say "ready ($SECONDS s); next: kollalab doctor"
  fi
}

main "$@"
