"""``fnkit doctor``: check this machine and this project."""

from __future__ import annotations

from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options


@command()
@api_options
@common_options
def doctor(common: CommonOptions, api: ApiOptions) -> int | None:
    """Check this machine and this project.

    Python, uv, the toolchain of each runtime of the project, secrets, disk space, the local platform, and the
    credentials and API of Scaleway are checked; with --local only the local platform, which is started. The exit
    code is 1 if something that the project needs is missing.
    """
    from fnkit.cli.checks.machine import check_machine
    from fnkit.cli.checks.project import check_project, load_checked_project
    from fnkit.cli.checks.services import check_api, check_local_platform
    from fnkit.cli.views.doctor import DoctorView

    project, project_check = load_checked_project(common)
    checks = [*check_machine(), project_check]
    if project is not None:
        checks += check_project(project)
    checks += check_local_platform(common, project, start=api.local)
    if not api.local:
        with common.output.progress("Asking the API"):
            checks += check_api(common, api)
    common.output.result(DoctorView(tuple(checks)))
    return 1 if any(one.has_failed for one in checks) else None
