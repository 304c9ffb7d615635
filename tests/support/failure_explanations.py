"""Explanations of failures by code, where the messages in the source do not say what to do about them.

Explanations of a project's problems are in ``problem_explanations``. A test verifies that every code has a remedy.
"""

from __future__ import annotations

from typing import Final

from tests.support.problem_explanations import Explanation

__all__ = ["FAILURES"]

_API_FAILURES: Final = {
    "api": (
        "The Functions API refused a request, and the message quotes its reason.",
        "Correct what the reason names. `fnkit doctor` checks credentials and addresses.",
    ),
    "api-unreachable": (
        "No usable response: connection refused, timed out or cut off, or the server is not the API.",
        "Check the network and the address, and run the command again. `fnkit doctor` says which API is called.",
    ),
    "authentication": (
        "The API answered 401 or 403: the API key is missing, invalid, or lacks a permission.",
        "Create a key that may change Serverless Functions in the project, and save it with `fnkit login`.",
    ),
    "conflict": (
        "The API answered 409: the name is already in use, or the resource is being changed.",
        "Choose another name, or run the command again when the change is complete.",
    ),
    "deploy-failed": (
        "A deployment failed before all changes were applied.",
        "Correct what the messages above it name and deploy again: only what is missing is done.",
    ),
    "namespace-not-ready": (
        "The namespace did not become ready, so nothing can be deployed into it.",
        "The message quotes the platform's reason. Deploy again, or delete the namespace with `fnkit destroy`.",
    ),
    "not-found": (
        "The API answered 404: the resource does not exist in this region and project.",
        "Check the name, --region and --stage, or deploy the project first.",
    ),
    "refused": (
        "The local platform refused a request. The message is the one of the API.",
        "Correct what the message names.",
    ),
    "still-deleting": (
        "Something that is being deleted did not disappear in time.",
        "Wait a few minutes and run the command again.",
    ),
    "still-pending": (
        "A function or namespace did not become ready in time; the platform continues with it.",
        "Look at `fnkit status`, and deploy again if it ends in an error.",
    ),
}
_LOCAL_FAILURES: Final = {
    "bad-event": ("The event is not a JSON object.", "Pass a file with an object such as the event of a request."),
    "bad-plan": (
        "A saved plan is damaged or was written by another version of fnkit.",
        "Create it again with `fnkit plan --out FILE`.",
    ),
    "bundle": ("An archive could not be built.", "Correct what the message names and run the command again."),
    "error": ("Something failed for which there is no more specific code.", "Follow the message."),
    "interrupted": (
        "The command was interrupted, by Ctrl-C or a signal.",
        "Run the same command again to continue; a deploy continues where it stopped.",
    ),
    "invoke": (
        "A handler could not be run on this machine.",
        "Follow the message; `fnkit doctor` checks toolchains.",
    ),
    "invoke-start": (
        "The process of a handler could not be started, or exited before it accepted a request.",
        "Check that the interpreter that the message names runs on this machine.",
    ),
    "missing-requirement": (
        "A module imports a package that neither the project nor its requirements provide.",
        "Add the package to the dependencies in pyproject.toml or requirements.txt.",
    ),
    "no-project": ("The directory does not exist.", "Pass the directory of a project with -C."),
    "operating-system": (
        "The operating system refused something, in its own words; the message names the file.",
        "Check that the file exists, its owner and permissions, and the free space on the disk.",
    ),
    "project": ("The project cannot be used in its current state.", "Correct what the message names."),
    "project-invalid": (
        "The project has problems, which are all listed.",
        "Correct them; `fnkit scan` shows them again.",
    ),
    "usage": ("The command line is invalid.", "The hint names the command whose --help describes the options."),
}
_PLATFORM_FAILURES: Final = {
    "archive-unreadable": (
        "The local platform cannot read the archive of a function.",
        "Check the permissions of its data directory, or deploy the function again.",
    ),
    "archives-missing": (
        "The local platform's data directory has a database, but none of the archives of its functions.",
        "Restore a backup with `fnkit platform restore`, or start anew with `fnkit platform reset`.",
    ),
    "bad-ca-certificate": (
        "The CA certificate of the platform cannot be read.",
        "Restart the platform with `fnkit platform stop` and `start`, which repairs its certificates.",
    ),
    "impossible-transition": (
        "A resource changed to a status that its current status does not allow: a bug in the platform.",
        "Restart the platform, and report the message with `fnkit platform logs`.",
    ),
    "key-missing": (
        "The platform's key file is missing, without which the secrets in its database cannot be decrypted.",
        "Restore a backup with `fnkit platform restore`, or start anew with `fnkit platform reset`.",
    ),
    "needs-root": (
        "Only root may change the trust store of this system.",
        "Run the commands that `fnkit platform trust` shows, as root.",
    ),
    "platform": (
        "The local platform cannot perform the requested operation.",
        "`fnkit platform status` and `fnkit platform logs` show its state.",
    ),
    "platform-not-yours": (
        "The platform of this data directory runs as another user.",
        "Use it as that user, or another data directory by setting FNKIT_HOME.",
    ),
    "platform-start": (
        "The platform exited while it started, without reporting an error.",
        "`fnkit platform logs` shows what its processes wrote.",
    ),
    "store-damaged": (
        "The platform's database is damaged.",
        "Restore a backup with `fnkit platform restore`, or start anew with `fnkit platform reset`.",
    ),
    "store-missing": (
        "The platform's database is missing or empty, but its key or archives exist.",
        "Restore the database or a backup, or start anew with `fnkit platform reset`.",
    ),
    "uids-exhausted": (
        "All user IDs that the platform may give to functions are in use.",
        "Delete functions that are no longer needed.",
    ),
}
_BROKER_FAILURES: Final = {
    "broker-missing": ("A broker in brokers.toml lacks a setting.", "Add it; docs/triggers.md lists the settings."),
    "broker-twice": ("Two brokers have the same account, project and region.", "Keep one of them."),
    "broker-type": ("A value in brokers.toml has the wrong type.", "Compare with docs/triggers.md."),
    "broker-unknown-key": ("brokers.toml has a setting that does not exist.", "Compare with docs/triggers.md."),
    "broker-variable": (
        "brokers.toml refers to a variable that is not set.",
        "Set it in the environment that `fnkit platform start` runs in.",
    ),
    "brokers-invalid": (
        "brokers.toml has problems, which are all listed.",
        "Correct them and restart the platform.",
    ),
    "brokers-syntax": ("brokers.toml is not valid TOML.", "Correct the line."),
    "brokers-unreadable": ("brokers.toml cannot be read.", "Check its owner and permissions."),
}
_LOG_FAILURES: Final = {
    "logs-unavailable": (
        "The server of the logs cannot be reached or is overloaded.",
        "Run the command again; `fnkit doctor` checks the network.",
    ),
    "query-refused": (
        "A log query is invalid, unsupported or exceeds a limit.",
        "The message has the position; docs/logs.md lists what is supported.",
    ),
    "query-too-slow": ("A log query exceeded the time limit.", "Query a shorter time, or fewer functions."),
    "too-many-queries": ("Too many log queries are running or queued.", "Run it again when others are finished."),
}
FAILURES: Final = {
    code: Explanation(*texts)
    for code, texts in {
        **_API_FAILURES,
        **_LOCAL_FAILURES,
        **_PLATFORM_FAILURES,
        **_BROKER_FAILURES,
        **_LOG_FAILURES,
    }.items()
}
"""Explanations by code."""
