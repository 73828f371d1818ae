"""Turns this process into a server that ends with its parent: `child.py PARENT OWNED PROGRAM ...`.

PARENT is a process number; OWNED a PostgreSQL cluster, which must run as its owner, or "-". Run by
its path, with the standard library only: quick to start, from any folder.
"""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

STOP = signal.SIGINT
"""Ends either server in order; PostgreSQL disconnects its clients instead of waiting for them."""

# linux/prctl.h, linux/securebits.h, linux/capability.h, linux/sched.h
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 4
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000


def main(parent: int, owned: str, program: str, *arguments: str) -> None:
    """Replace this process by `program`; exits with a sentence when that is not possible."""
    os.umask(0o077)
    # A job in the background of a shell ignores it, and children would inherit that.
    signal.signal(STOP, signal.SIG_DFL)
    if owned != "-":
        try:
            become_acceptable(Path(owned).stat())
        except (OSError, KeyError, AttributeError) as error:  # AttributeError: not on Linux
            sys.exit(
                "PostgreSQL does not run as root, or as a user without a name, and we cannot "
                f"become another here ({error}). Run as an ordinary user, or set a DSN."
            )
    # After the change of user, which clears it.
    end_with(parent)
    os.execv(program, [program, *arguments])


def become_acceptable(cluster: os.stat_result) -> None:
    """Become the owner of the cluster, who to PostgreSQL is not root and has a name."""
    me = os.geteuid()
    if me == 0 and cluster.st_uid != 0:
        change_user(cluster.st_uid, cluster.st_gid)
    elif me == 0 or not has_name(me):
        pose_as_nobody()


def has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def change_user(uid: int, gid: int) -> None:
    """Become an ordinary user who keeps one right of root's: to pass private folders."""
    # Or else a change of user loses every right, and access(2), which initdb asks about its own
    # program, knows of none.
    call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    kept = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable; then the same for capabilities above 31.
    sets = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)
    call("capset", header, sets)
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def pose_as_nobody() -> None:
    """Enter a user namespace in which we are called nobody; on disk we stay who we are."""
    nobody, user, group = pwd.getpwnam("nobody"), os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER)
    Path("/proc/self/uid_map").write_text(f"{nobody.pw_uid} {user} 1")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{nobody.pw_gid} {group} 1")


def end_with(parent: int) -> None:
    """Have the kernel send STOP when the parent dies. Linux only."""
    if sys.platform != "linux":
        return
    call("prctl", PR_SET_PDEATHSIG, STOP, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("The parent died before its server started.")


def call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # prctl is variadic and reads longs: a plain int would leave the upper half undefined.
    wide = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if libc[function](*wide) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}: {os.strerror(error)}")


def command(owned: Path | None, program: Path, *arguments: str) -> Sequence[str]:
    """The command line that makes a child of this process a server that ends with it."""
    # -I -S: neither the environment nor site-packages has a say in the few lines above.
    interpreter = [sys.executable, "-I", "-S", __file__]
    return [*interpreter, str(os.getpid()), str(owned or "-"), str(program), *arguments]


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
