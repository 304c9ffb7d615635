"""One session: deploys the project to its platform, then each change of it.

A change of code alone goes the short way: the platform replaces the changed files of those functions whose slice
contains one, and leaves all others alone. Everything else goes through the pipeline of ``fnkit deploy``: new and
removed functions, settings, secrets, crons, triggers, dependencies, and code that has to be compiled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path

from fnkit.bundler.model import Bundle
from fnkit.client.api import FunctionsApi
from fnkit.contract.platform import EditResult, PlatformInfo
from fnkit.contract.resources import Function
from fnkit.deploy.events import ApplyResult, EventCallback
from fnkit.deploy.loading import load_project
from fnkit.deploy.pipeline import DeployInputs, DeployRequest, bundle_functions, deploy
from fnkit.deploy.start_report import shortened_traceback
from fnkit.deploy.target import DeployTarget, function_url
from fnkit.deploy.user_cache import CacheDirectory
from fnkit.dev.edits import DeployedCode, plan_edit
from fnkit.dev.failures import BUILD_FAILED, IMPORT_FAILED, BuildOutput, located
from fnkit.dev.model import Reloaded, ServedChange, ServedFunction
from fnkit.errors import ApiError, DeployError, FnkitError
from fnkit.plan import Action, DesiredState, Plan, desired_state
from fnkit.plan.state import DesiredFunction
from fnkit.project import Project, read_secret_values

_MAX_EDITS_AT_ONCE = 8
_HAS_TO_BE_DEPLOYED = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_PAST: Mapping[str, str] = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPLACE: "replaced",
    Action.DELETE: "deleted",
    Action.KEEP: "kept",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is deployed.

    Attributes:
        desired: The declared state that was deployed.
        code: The code of each function by name, as far as it is known.
        functions: The functions that answer.
    """

    target: DeployTarget
    project: Project
    desired: DesiredState
    code: Mapping[str, DeployedCode]
    functions: tuple[ServedFunction, ...]
    secrets: Mapping[str, str] = field(repr=False)


class DevSession:
    """Deploys a project, and what changes in it.

    Args:
        request: What to deploy; ``allow_builds`` is asked before code of the project runs.
        api: The API of the session's own platform.
        environ: Environment variables, the source of secret values.
        cache: The cache directory.
        report: Called with the steps of a deploy.
        build_output: Returns what the newest build of a function wrote.
        from_bundle: Deploy archives for each change, as ``fnkit deploy`` does.
    """

    def __init__(
        self,
        request: DeployRequest,
        api: FunctionsApi,
        *,
        environ: Mapping[str, str],
        cache: CacheDirectory,
        report: EventCallback,
        build_output: BuildOutput,
        from_bundle: bool = False,
    ) -> None:
        self._request = request
        self._api = api
        self._environ = environ
        self._cache = cache
        self._report = report
        self._build_output = build_output
        self._told: set[str] = set()
        self._from_bundle = from_bundle
        self._state: _State | None = None
        self._project: Project | None = None
        self._pool = ThreadPoolExecutor(max_workers=_MAX_EDITS_AT_ONCE, thread_name_prefix="edit")

    @property
    def functions(self) -> tuple[ServedFunction, ...]:
        """The functions that answer."""
        return self._state.functions if self._state is not None else ()

    @property
    def included(self) -> tuple[Path, ...]:
        """The directories outside the project that count as part of it, as it was when it was read last."""
        return tuple(one.directory for one in self._project.included) if self._project is not None else ()

    def shown(self, path: str) -> str:
        """Return the path, relative to the project, of a file with a path in an archive."""
        return path if self._project is None else self._project.shown(path)

    def load(self) -> Project:
        """Return the project as it is now.

        Raises:
            ProjectInvalid: It has problems.
        """
        available = self._state.target.available_runtimes if self._state is not None else None
        self._project = load_project(self._request.directory, stage=self._request.stage, available=available)
        return self._project

    def deploy(self) -> Reloaded:
        """Deploy the project through the pipeline.

        Raises:
            FnkitError: It cannot be deployed. What was deployed before serves on.
        """
        began = time.monotonic()
        prepared, applied = deploy(
            self._request,
            self._api,
            environ=self._environ,
            cache=self._cache,
            report=self._report,
            approve=_approve,
        )
        if applied is None:
            raise DeployError("The deploy was not approved.")
        self._project = prepared.project
        served_before = {one.name for one in self.functions} if self._state is not None else set()
        self._state = self._observe(prepared, applied)
        changes = tuple(
            ServedChange(
                name=one.name,
                action=_PAST[one.action],
                failure=self._located(one.name, one.failure, is_served=one.name in served_before),
            )
            for one in applied.functions
            if one.action != Action.KEEP or one.failure is not None
        )
        return Reloaded(
            changes=changes,
            functions=self._state.functions,
            seconds=time.monotonic() - began,
            failures=applied.failures,
            notes=self._new_notes((*prepared.desired.notes, *applied.notes)),
        )

    def reload(self, project: Project) -> Reloaded | None:
        """Deploy what has changed since the last deploy or reload; return ``None`` if nothing has.

        Args:
            project: The project as it is now.

        Raises:
            FnkitError: It cannot be deployed. What was deployed before serves on.
        """
        began = time.monotonic()
        state = self._state
        if state is None or self._from_bundle:
            return self._deploy_if_changed()
        secrets = read_secret_values(project, self._environ, state.target.secret_defaults)
        bundles = bundle_functions(
            project,
            state.target,
            self._cache,
            None,
            self._report,
            allow_builds=self._request.allow_builds,
            write_archives=False,
        )
        desired = self._desired(project, bundles, state.target)
        if secrets != state.secrets or not _differs_in_code_only(state.desired, desired):
            return self._deploy_if_changed()
        changed = _changed_code(state.desired, desired)
        if not changed:
            return None
        edited, is_complete = self._edit(state, changed, bundles)
        self._state = _with_edits(state, project, desired, edited)
        if not is_complete:
            return self._deploy_if_changed()
        return Reloaded(
            changes=tuple(
                ServedChange(
                    name=one.name, action="reloaded", failure=self._located(one.name, one.failure, is_served=True)
                )
                for one in edited
            ),
            functions=state.functions,
            seconds=time.monotonic() - began,
        )

    def _located(self, name: str, failure: FnkitError | None, *, is_served: bool) -> FnkitError | None:
        """Return a failure with its place in the project."""
        state = self._state
        if not isinstance(failure, DeployError) or state is None:
            return failure
        folder = next((str(one.root) for one in state.project.functions if one.name == name), "")
        ids = [one.id for one in state.functions if one.name == name]
        output = self._build_output(ids[0]) if ids and failure.code == BUILD_FAILED else ()
        return located(name, failure, folder, output, is_served=is_served, shown=state.project.shown)

    def _new_notes(self, notes: Iterable[str]) -> tuple[str, ...]:
        """Return those that this session has not told yet."""
        new = tuple(note for note in dict.fromkeys(notes) if note not in self._told)
        self._told.update(new)
        return new

    def _deploy_if_changed(self) -> Reloaded | None:
        result = self.deploy()
        return result if result.changes or result.failures else None

    def _desired(self, project: Project, bundles: Iterable[Bundle], target: DeployTarget) -> DesiredState:
        endpoint = self._api.endpoint
        return desired_state(
            project,
            bundles,
            project_id=endpoint.project_id,
            region=endpoint.region,
            nats_account=target.info.nats_account if target.info is not None else "",
        )

    def _edit(
        self, state: _State, changed: Iterable[DesiredFunction], bundles: Iterable[Bundle]
    ) -> tuple[list[_Edited], bool]:
        """Edit the code of functions; return those that were edited, and whether these are all."""
        by_function = {one.function: (bundle, one) for bundle in bundles for one in bundle.slices}
        edits = []
        for function in changed:
            bundle, part = by_function[function.name]
            deployed = state.code.get(function.name)
            edit = plan_edit(deployed, bundle, part.digest) if deployed is not None else None
            if deployed is None or edit is None:
                return [], False
            after = replace(deployed, tags=tuple(edit.tags), contents=bundle.contents)
            edits.append((function.name, deployed, edit, after))
        results = [
            (name, after, self._pool.submit(self._api.functions.edit_code, deployed.function_id, edit))
            for name, deployed, edit, after in edits
        ]
        edited = []
        for name, after, future in results:
            try:
                result = future.result()
            except ApiError as error:
                if error.status in _HAS_TO_BE_DEPLOYED:
                    continue
                raise
            edited.append(_Edited(name=name, code=after, result=result))
        return edited, len(edited) == len(edits)

    def _observe(self, prepared: DeployInputs, applied: ApplyResult) -> _State:
        """Return the state after a deploy. Functions that failed have their earlier code, which is not known."""
        failed = {one.name for one in applied.functions if one.failure and one.failure.code != IMPORT_FAILED}
        uploaded = {one.name for one in applied.functions if one.uploaded_bytes}
        live = {} if applied.namespace_id is None else _by_name(self._api.functions.list(applied.namespace_id))
        before = self._state.code if self._state is not None else {}
        code = {}
        for bundle in prepared.bundles:
            for one in bundle.slices:
                function = live.get(one.function)
                if function is None or one.function in failed:
                    continue
                contents = bundle.contents if one.function in uploaded else None
                if contents is None and one.function in before:
                    contents = before[one.function].contents
                if contents is not None:
                    code[one.function] = DeployedCode(
                        function_id=function.id,
                        tags=tuple(function.tags),
                        runtime=bundle.runtime,
                        layer_key=bundle.layer_key,
                        contents=contents,
                    )
        return _State(
            target=prepared.target,
            project=prepared.project,
            desired=prepared.desired,
            code=code,
            functions=self._served(prepared, live),
            secrets=prepared.secrets,
        )

    def _served(self, prepared: DeployInputs, live: Mapping[str, Function]) -> tuple[ServedFunction, ...]:
        info = prepared.target.info
        region, namespace = self._api.endpoint.region, prepared.project.namespace.name
        served = []
        for spec in prepared.project.functions:
            if (function := live.get(spec.name)) is None:
                continue
            url = function_url(info, function.domain_name, region=region, namespace=namespace, function=spec.name)
            crons = self._api.crons.list(function.id) if spec.crons else []
            triggers = self._api.triggers.list(function.id) if spec.triggers else []
            addresses = {one.name: one.address for one in spec.triggers}
            served.append(
                ServedFunction(
                    id=function.id,
                    name=spec.name,
                    url=url,
                    path_url=f"{info.gateway_url if info else ''}/{region}/{namespace}/{spec.name}/",
                    is_private=spec.privacy == "private",
                    crons=tuple((one.name or "", one.id) for one in crons),
                    triggers=tuple((one.name, one.id, addresses.get(one.name, "")) for one in triggers),
                )
            )
        return tuple(served)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edited:
    """The outcome of an edit: the code that the function has if it did not fail."""

    name: str
    code: DeployedCode
    result: EditResult

    @property
    def failure(self) -> DeployError | None:
        """Why the function does not work now."""
        if self.result.error:
            return DeployError(f"{self.name} was not reloaded: {self.result.error}.")
        if self.result.import_error:
            error = shortened_traceback(self.result.import_error)
            return DeployError(f"{self.name} cannot be imported:\n{error}", code=IMPORT_FAILED)
        return None


def _approve(_plan: Plan, _info: PlatformInfo | None) -> bool:
    """Approve every plan: nothing but this session uses the platform."""
    return True


def _by_name(functions: Iterable[Function]) -> dict[str, Function]:
    return {one.name: one for one in functions}


def _differs_in_code_only(before: DesiredState, after: DesiredState) -> bool:
    """Return whether two declared states are equal apart from the code of their functions."""
    old = {one.name: one for one in before.functions}
    if old.keys() != {one.name for one in after.functions}:
        return False
    functions = tuple(
        replace(one, code=old[one.name].code, archive=old[one.name].archive, files=old[one.name].files)
        for one in after.functions
    )
    return replace(after, functions=functions, notes=before.notes) == before


def _changed_code(before: DesiredState, after: DesiredState) -> list[DesiredFunction]:
    digests = {one.name: one.code for one in before.functions}
    return [one for one in after.functions if digests.get(one.name) != one.code]


def _with_edits(state: _State, project: Project, desired: DesiredState, edited: Iterable[_Edited]) -> _State:
    """Return the state after edits. A function that failed keeps its earlier digest, so that it is tried again."""
    done = {one.name: one for one in edited if not one.result.error}
    before = {one.name: one for one in state.desired.functions}
    functions = tuple(one if one.name in done else before[one.name] for one in desired.functions)
    code = {**state.code, **{name: one.code for name, one in done.items()}}
    return replace(state, project=project, desired=replace(desired, functions=functions), code=code)
