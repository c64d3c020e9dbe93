"""A fresh Debian of this machine's release in a folder, with this machine's mirror, proxies, certificates, pip settings and pip downloads."""

import os
import shutil
import subprocess
from pathlib import Path

from conftest import ROOT
from samples import PIP_CACHE

_PASSED_ON = ("PIP_", "SSL_", "CURL_CA_", "REQUESTS_CA_", "JAVA_TOOL_OPTIONS", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_FILES = ("/etc/pip.conf", "/etc/resolv.conf", "/etc/hosts", "~/.config/pip/pip.conf", "~/.m2", "~/.ivy2", "/usr/local/share/ca-certificates")
_ENTER = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && '


class CannotMakeRoot(Exception):
    """This machine cannot make a Debian root; the message says why."""


def debian_root(folder: Path, release: str) -> Path:
    """The new root `folder` of the Debian `release`, such as bookworm, with this checkout in /source; it takes a minute.

    Raises:
        CannotMakeRoot: no rights, no debootstrap, or apt has no mirror of that release.
    """
    if os.geteuid():
        raise CannotMakeRoot("only root can make a Debian root")
    if shutil.which("debootstrap") is None:
        raise CannotMakeRoot("there is no debootstrap (Debian: apt-get install debootstrap)")
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode:
        raise CannotMakeRoot("this machine lets nobody make namespaces")
    mirrors = _mirrors()
    if release not in mirrors:
        raise CannotMakeRoot(f"this machine's apt knows no Debian {release}, only {', '.join(mirrors) or 'nothing: run apt-get update'}")
    subprocess.run(["debootstrap", "--variant=minbase", release, str(folder), mirrors[release]], check=True, stdout=subprocess.DEVNULL)
    _copy_machine_settings(folder, mirrors)
    _copy_checkout(folder / "source")
    return folder


def in_root(root: Path, command: list[str], timeout: int = 1_800) -> subprocess.CompletedProcess:
    """The command as root in the root folder, with a network and with this machine's pip downloads."""
    environment = {name: value for name, value in os.environ.items() if name.upper().startswith(_PASSED_ON)}
    environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "PIP_CACHE_DIR": "/var/cache/pip"}
    for folder in (PIP_CACHE, root / "var" / "cache" / "pip"):
        folder.mkdir(parents=True, exist_ok=True)
    enter = 'mount --bind "$1" "$0/var/cache/pip" && shift && ' + _ENTER + 'exec chroot "$0" "$@"'
    entered = ["unshare", "--mount", "sh", "-euc", enter, str(root), str(PIP_CACHE), *command]
    return subprocess.run(entered, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)


def as_user(root: Path, lake: Path, user: int, command: list[str], timeout: int = 1_800) -> subprocess.CompletedProcess:
    """Runs the command as a container of the image does: as `user`, without network; only /tmp and /lake (the folder `lake`) can be written to."""
    container = (
        "ip link set lo up && "
        'lake=$1; user=$2; shift 2; mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount --bind "$lake" "$0/lake" && '
        'mount -t tmpfs -o mode=1777 tmpfs "$0/tmp" && ' + _ENTER + 'exec chroot --userspec="$user:$user" "$0" env -C /tmp "$@"'
    )
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/var/lib/xlclass", "LANG": "C.UTF-8"}
    in_chroot = ["unshare", "--mount", "--net", "sh", "-euc", container, str(root), str(lake), str(user), *command]
    return subprocess.run(in_chroot, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)


def _mirrors() -> dict[str, str]:
    """Addresses of Debian's archives by release, such as bookworm, from this machine's apt."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    fields = [line.split() for line in lines if line.startswith("Debian main ")]
    return {words[2]: words[3] for words in fields}


def _copy_machine_settings(root: Path, mirrors: dict[str, str]) -> None:
    sources = "".join(f"deb {address} {release} main\n" for release, address in mirrors.items())
    (root / "etc" / "apt" / "sources.list").write_text(sources)
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    settings = [line for line in dump.splitlines() if line.startswith("Acquire::") and not line.startswith(("Acquire::IndexTargets", "Acquire::cdrom"))]
    (root / "etc" / "apt" / "apt.conf.d" / "90machine").write_text("\n".join([*settings, ""]))
    for name in _FILES:
        source, target = Path(name).expanduser(), root / ("root/" + name[2:] if name.startswith("~") else name[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, target)


def _copy_checkout(folder: Path) -> None:
    """Copies the files of the work tree that git tracks or does not ignore."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
