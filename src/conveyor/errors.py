"""The tree of errors; each class carries its exit code, stable code and hint.

Exit codes are those of BSD's ``sysexits.h`` where they fit. The table in the documentation is made from this module,
so a new error is documented by being written.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar

_PERMISSION = frozenset({errno.EACCES, errno.EPERM})
_FULL = (
    "nothing is lost: make room, or have the quota raised (df, quota; on Lustre lfs df and lfs quota: one of its targets "
    "may be full before all are), then run the same command"
)
# Too many names of one file, too long a file, an attribute that is too large: no retry makes them fit.
_BEYOND_THE_TARGET = frozenset({errno.EMLINK, errno.EFBIG, errno.E2BIG})
_SERVER_GONE = frozenset(
    {
        errno.ESTALE,
        errno.EREMOTEIO,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
    }
)
_IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.ELOOP})


class ConveyorError(Exception):
    """An expected failure, with a sentence for a person and a code for a program.

    ``code`` is stable across releases; the message is not. ``hint`` says what to do next. ``retryable`` is True if the
    same command, run again by a program, may succeed without anybody's help.
    """

    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    hint: str = "this is a bug in Conveyor: please report it with the log"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with message and hint: a worker reports its error to the parent."""
        return (_rebuild, (type(self), self.message, self.hint))

    @staticmethod
    def from_os_error(error: OSError) -> ConveyorError:
        """Return the error that a user sees for one of the operating system, with the operation and the path."""
        path = f": {error.filename}" if error.filename else ""
        if error.filename2:
            path += f" -> {error.filename2}"
        text = f"{error.strerror or error}{path}"
        if error.errno == errno.ENOENT and error.filename is None and _has_lost_its_place():
            hint = "go to another one, or name all paths from the root on"
            return ConfigurationError("the working directory is gone", hint=hint)
        if error.errno in _PERMISSION or (error.errno is None and isinstance(error, PermissionError)):  # of a hook
            return NotPermittedError(f"not permitted: {text}")
        if error.errno in _IN_THE_WAY:
            return ConflictError(f"something is in the way: {text}")
        if error.errno == errno.ENAMETOOLONG:
            return NameTooLongError(text)
        if error.errno in _BEYOND_THE_TARGET:
            return UncopyableError(text)
        if error.errno == errno.EROFS:
            return ReadOnlyError(text)
        if error.errno in _SERVER_GONE:
            return ServerGoneError(text)
        return IoFailedError(text, hint=_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else None)

    @staticmethod
    def from_exception(failure: Exception) -> ConveyorError:
        """Return the error that a user sees for any exception; of one that nobody foresaw it has the traceback as a note."""
        match failure:
            case ConveyorError():
                return failure
            case OSError():
                return ConveyorError.from_os_error(failure)
        import traceback  # takes a while, and is needed for a bug only

        bug = InternalError(f"{type(failure).__name__}: {failure}")
        bug.add_note("".join(traceback.format_exception(failure)).rstrip())
        return bug


def _has_lost_its_place() -> bool:
    """Tell whether the working directory was removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _rebuild(kind: type[ConveyorError], message: str, hint: str) -> ConveyorError:
    return kind(message, hint=hint)


class InternalError(ConveyorError):
    """A bug in Conveyor; the log has the traceback."""


class UsageError(ConveyorError):
    """The command line names something that does not exist, or options that exclude each other."""

    exit_code = 2
    code = "usage"
    hint = "see the command's --help"


class MetadataInvalidError(ConveyorError):
    """The content of ``metadata.json`` is not what a workflow writes."""

    exit_code = 65
    code = "metadata-invalid"
    hint = "correct the file, or ask the operator of the workflow for the one that it wrote"


class WorkflowMissingError(MetadataInvalidError):
    """The metadata names no workflow, so it does not tell the capability."""

    code = "workflow-missing"
    hint = "name the capability with -c"


class MetadataMisplacedError(MetadataInvalidError):
    """The metadata file stands in the directory of one request, and names another."""

    code = "metadata-misplaced"
    hint = "name the metadata file of the request that is meant; if its directory was renamed, give it its name back"


class RequestAmbiguousError(MetadataInvalidError):
    """What names a request on the command line may mean two."""

    code = "request-ambiguous"
    hint = "give the path of the one that is meant"


class NotInQaError(ConveyorError):
    """A verdict is given on a request that is not in its QA area."""

    exit_code = 66
    code = "not-in-qa"
    hint = "is it the right request? 'conveyor status' says where each one is"


class WeblogDamagedError(ConveyorError):
    """The weblog tar cannot be read to its end.

    ``cut_short`` is True if it is right as far as it goes: the rest may still come.
    """

    exit_code = 65
    code = "weblog-damaged"
    hint = "make the weblog tar again (or move it away), then run the same command"

    def __init__(self, message: str, *, hint: str | None = None, cut_short: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.cut_short = cut_short


class WeblogUnsafeError(ConveyorError):
    """The weblog tar has a member that leads out of its own tree, or that is no file, directory or link."""

    exit_code = 65
    code = "weblog-unsafe"
    hint = "find out how this tar was made; make it again from the pipeline's own html directory"


class WeblogTooLargeError(ConveyorError):
    """The weblog tar unpacks to more than the limits allow."""

    exit_code = 65
    code = "weblog-too-large"
    hint = "if the weblog is right, raise weblog_max_bytes, weblog_max_members or weblog_max_ratio"


class MetadataMissingError(ConveyorError):
    """The metadata file does not exist."""

    exit_code = 66
    code = "metadata-missing"
    hint = "give the path of the request's metadata.json"


class RequestMissingError(ConveyorError):
    """The parent processing directory that the metadata names does not exist."""

    exit_code = 66
    code = "request-missing"
    hint = "is the spool area mounted on this host, and is the request still there?"


class DirectoryMissingError(ConveyorError):
    """A directory that the capability requires is at neither endpoint."""

    exit_code = 66
    code = "directory-missing"
    hint = "did the workflow finish? is it the right capability? 'conveyor capabilities' says what each requires"


class WeblogMissingError(ConveyorError):
    """The capability requires a weblog tar, and none was found."""

    exit_code = 66
    code = "weblog-missing"
    hint = "did the pipeline export its products?"


class ConflictError(ConveyorError):
    """Something that is not Conveyor's is in the place of a directory or link that it has to make."""

    exit_code = 73
    code = "conflict"
    hint = "look at both places; move away what does not belong there, then run the same command"


class BothSidesError(ConflictError):
    """A directory exists both in spool and in the QA area, and neither is a link: only a person can say which is right."""

    code = "both-sides"
    hint = "compare the two, keep the right one, move the other away, then run the same command"


class LinkForeignError(ConflictError):
    """A link that Conveyor did not make is in the place of a directory."""

    code = "link-foreign"
    hint = "put the real directory in the place of the link, then run the same command"


class UnmovableError(ConveyorError):
    """A directory would have to be copied, but its source could not be removed afterwards; nothing was copied."""

    exit_code = 73
    code = "unmovable"
    hint = (
        "it is in a lower layer of an overlay, or has a project ID that this account may not change: "
        "make a new directory of it (cp -a), or give it its parent's project ID"
    )


class UncopyableError(UnmovableError):
    """A directory has to be copied, and the target cannot hold something in it; that directory was not moved."""

    code = "uncopyable"
    hint = "nothing is lost, and running it again does not help: remove or change what the message names, in its place"


class LinksRefusedError(ConveyorError):
    """A link from one endpoint to the other cannot be followed, so that no path would work once a directory has moved."""

    exit_code = 73
    code = "links-refused"
    hint = (
        "nothing was moved: is one of the areas mounted with nosymfollow, or by sshfs, which holds links back unless it has "
        "the option no_contain_symlinks? 'conveyor doctor' tries it"
    )


class StrictError(ConveyorError):
    """There is something to warn of, and ``strict`` was asked for."""

    exit_code = 73
    code = "strict"
    hint = "nothing was changed: look into it, or run the same command without --strict"


class NameTooLongError(ConveyorError):
    """A name or a path is longer than the file system allows."""

    exit_code = 73
    code = "name-too-long"
    hint = "running it again does not help: shorten the name, or use an area whose file system takes longer ones"


class UnfitError(ConveyorError):
    """``conveyor doctor`` found errors in the workspace or in a request."""

    exit_code = 69
    code = "unfit"
    hint = "do what each finding advises, then run 'conveyor doctor' again"


class IoFailedError(ConveyorError):
    """The operating system refused an operation; the next run continues where this one stopped."""

    exit_code = 74
    code = "io-failed"
    retryable = True
    hint = "nothing is lost: fix the cause (disk full? server down?), then run the same command"


class ReadOnlyError(IoFailedError):
    """A file system is mounted read-only, perhaps by the kernel after an error of its disk: no account may write there."""

    code = "read-only"
    hint = "nothing is lost: see 'dmesg | tail'; when it is mounted for writing again, run the same command"


class ServerGoneError(IoFailedError):
    """The server of a network file system does not answer, or gives no access to what it gave access to before."""

    code = "server-gone"
    hint = "nothing is lost: when the server is back, and what it exports is mounted, run the same command"


class AreaNotMountedError(IoFailedError):
    """An area lacks the marker that the settings require, or requests are in it of which it has nothing."""

    code = "area-not-mounted"
    hint = "nothing was changed: mount the area, then run the same command"


class SpaceMissingError(IoFailedError):
    """A directory has to be copied to another file system, which has not enough free space for it."""

    code = "no-space"
    hint = "nothing was copied: free some space there, then run the same command"


class CopyDiffersError(IoFailedError):
    """A copy, read back, differs from what was written, or the file system did not keep an attribute that was set."""

    code = "copy-differs"
    hint = "nothing is lost, the source is untouched: suspect the target's disk or memory; the same command copies it again"


class RottedError(IoFailedError):
    """Data at rest changed although its ctime did not (silent corruption), or a manifest is damaged."""

    code = "rotted"
    hint = (
        "suspect that file server's disks or memory: keep what is there, and restore the named files from their origin"
    )


class ManifestUnknownError(ConveyorError):
    """The manifest of a copy is of a format, or has digests of a kind, that this release of Conveyor does not know."""

    exit_code = 65
    code = "manifest-unknown"
    hint = "nothing was changed, nothing is known to be damaged: use the release of Conveyor that made the copy"


class NotVerifiedError(ConveyorError):
    """``verify --require-digests``: a directory was moved and not copied, so that there is nothing to compare it with."""

    exit_code = 65
    code = "not-verified"
    hint = "nothing is known to be damaged: only what was copied to another file system can be verified"


class SourceChangingError(ConveyorError):
    """A directory that has to be copied to another file system is being written to."""

    exit_code = 75
    code = "source-changing"
    retryable = True
    hint = "nothing is lost or moved: wait until nobody writes to that directory any more, then run the same command"


class WeblogChangingError(ConveyorError):
    """The weblog tar is still being written, or was replaced while it was read."""

    exit_code = 75
    code = "weblog-changing"
    retryable = True
    hint = "nothing was moved: wait until the tar is whole, then run the same command"


class InUseError(ConveyorError):
    """A directory is in use: one that has to be copied, by a process that writes to it or has a casacore table in it open.

    With ``--when-idle``, any that moves, by a process that stands in it or has anything in it open.
    """

    exit_code = 75
    code = "in-use"
    retryable = True
    hint = "nothing is lost or moved: close it there (or let --wait wait for that), then run the same command"


class LockedError(ConveyorError):
    """Another conveyance holds the request."""

    exit_code = 75
    code = "locked"
    retryable = True
    hint = "wait for it to end, then run the same command; if its host is gone for good, see 'conveyor unlock --help'"


class InterruptedRunError(ConveyorError):
    """A run ended between two steps because of a signal, or an earlier run was interrupted."""

    exit_code = 75
    code = "interrupted"
    retryable = True
    hint = "nothing is lost: run the same command again to finish, or the opposite one to go back"


class NotNotifiedError(ConveyorError):
    """``notify`` could not send every notice. Those that it could not wait, and are tried again."""

    exit_code = 75
    code = "not-notified"
    retryable = True
    hint = "no notice is lost: mend what the line of each receiver names; the next 'conveyor notify' tries again"


class NotPermittedError(ConveyorError):
    """The account that runs Conveyor lacks a permission that it needs."""

    exit_code = 77
    code = "not-permitted"
    hint = "run as the service account, or correct the owner and mode that the message names"


class ConfigurationError(ConveyorError):
    """A setting is missing or wrong."""

    exit_code = 78
    code = "configuration"
    hint = "'conveyor config' shows every setting and where it came from"


class QaAreaMissingError(ConfigurationError):
    """The QA area does not exist. Conveyor never makes it: a missing one means that something is not mounted."""

    code = "qa-area-missing"
    hint = "is the file system mounted on this host? otherwise set CONVEYOR_QA_ROOT to the directory that holds it"


class CapabilityUnknownError(ConfigurationError):
    """No registered capability has this name or claims this workflow."""

    code = "capability-unknown"
    hint = "name one with -c, or register one: 'conveyor capabilities' lists them"


class CapabilityMismatchError(ConfigurationError):
    """The capability that is named is not that of the request: of its workflow, or of its delivery."""

    code = "capability-mismatch"
    hint = "leave -c out, or name the other one (of upstream's flags use the other one); nothing was moved"


class CapabilityDuplicateError(ConfigurationError):
    """Two owners registered the same capability, or claim the same workflow."""

    code = "capability-duplicate"
    hint = "rename or remove one of the two"


class CapabilityBrokenError(ConfigurationError):
    """The requested capability comes from a package that cannot be imported, or whose code failed."""

    code = "capability-broken"
    hint = "repair or remove the package that provides it"


class JobFailedError(ConveyorError):
    """A post script's job ended with another status than 0, so that nothing was conveyed."""

    exit_code = 101
    code = "job-failed"
    retryable = True
    hint = "nothing was moved: see the job's own output and log, then let DAGMan run the node again (rescue DAG)"


class JobKilledError(JobFailedError):
    """A post script's job was ended by a signal, so that nothing was conveyed."""

    exit_code = 102
    code = "job-killed"


class JobRemovedError(JobFailedError):
    """A post script's job was removed from the queue (DAGMan's -1002), so that nothing was conveyed."""

    exit_code = 103
    code = "job-removed"


class JobNotSubmittedError(JobFailedError):
    """A post script's job could not be submitted (DAGMan's -1001), so that nothing was conveyed."""

    exit_code = 104
    code = "job-not-submitted"
    hint = "nothing was moved: DAGMan's log (*.dagman.out) says why the scheduler did not take the job"


class JobNotStartedError(JobFailedError):
    """The PRE script of a post script's node failed (DAGMan's -1004): the job did not run, nothing was conveyed."""

    exit_code = 105
    code = "job-not-started"
    hint = "nothing was moved: see the node's PRE script"


def tree(root: type[ConveyorError] = ConveyorError) -> list[type[ConveyorError]]:
    """List every error class below ``root``, parents first; the documentation's table is made from it."""
    found: list[type[ConveyorError]] = []
    for child in root.__subclasses__():
        found += [child, *tree(child)]
    return found
