"""Read a cloud assembly: the folder of templates, manifest and assets that CDK wrote.

A stage of an app is an assembly of its own within it; its stacks and assets are read with the
app's. Used by `template`. Nothing is created here; the only judgement is whether the folder is one
that the twin can boot from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from simulator.errors import TemplateError

_SECTIONS = frozenset(
    {"AWSTemplateFormatVersion", "Conditions", "Description", "Metadata", "Outputs"}
    | {"Parameters", "Resources", "Rules"}
)
_BOOTSTRAP_RULE = "CheckBootstrapVersion"
"""CDK's own rule about the account's bootstrap stack, which a twin does not need."""


@dataclass(frozen=True)
class Stack:
    """One synthesized template and its name, of an app or of a stage of it."""

    name: str
    template: Mapping[str, Any]
    after: tuple[str, ...] = ()
    """The stacks that have to be there before, as the manifest says."""

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the resources by logical id."""
        found: Mapping[str, Mapping[str, Any]] = self.template.get("Resources", {})
        return found

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the outputs by name."""
        found: Mapping[str, Mapping[str, Any]] = self.template.get("Outputs", {})
        return found

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the parameters' declarations by name."""
        found: Mapping[str, Mapping[str, Any]] = self.template.get("Parameters", {})
        return found

    def not_read(self) -> list[str]:
        """Return the sections and rules that the twin does not read."""
        unknown = sorted(set(self.template) - _SECTIONS)
        rules = sorted(set(self.template.get("Rules", {})) - {_BOOTSTRAP_RULE})
        return [*unknown, *(f"Rules.{rule}" for rule in rules)]

    def parameter_values(self, overrides: Mapping[str, str]) -> dict[str, Any]:
        """Return each parameter's value: the override, else the default, else None.

        Raises TemplateError for a value that the declaration does not admit.
        """
        return {
            name: self._parameter(name, declared, overrides.get(name))
            for name, declared in self.parameters.items()
        }

    def _parameter(self, name: str, declared: Mapping[str, Any], override: str | None) -> Any:
        value = declared.get("Default") if override is None else override
        kind = declared.get("Type", "String")
        if value is None:
            return None
        if kind.startswith("AWS::SSM::Parameter::Value") and override is None:
            # The default is the parameter's *name*; its value is not known at this point.
            return None
        text = str(value)
        allowed = [str(each) for each in declared.get("AllowedValues", [])]
        if allowed and text not in allowed:
            raise self._bad(name, f"{text!r} is not one of {', '.join(allowed)}")
        pattern = declared.get("AllowedPattern")
        if pattern is not None and re.fullmatch(pattern, text) is None:
            raise self._bad(name, f"{text!r} does not match {pattern}")
        if (
            not int(declared.get("MinLength", 0))
            <= len(text)
            <= int(declared.get("MaxLength", 4096))
        ):
            raise self._bad(name, f"{len(text)} characters are too few or too many")
        if kind == "CommaDelimitedList" or kind.startswith("List<"):
            return [part.strip() for part in text.split(",")]
        if kind == "Number":
            self._check_number(name, text, declared)
        return text

    def _check_number(self, name: str, text: str, declared: Mapping[str, Any]) -> None:
        try:
            number = float(text)
        except ValueError:
            raise self._bad(name, f"{text!r} is not a number") from None
        low = float(declared.get("MinValue", "-inf"))
        if not low <= number <= float(declared.get("MaxValue", "inf")):
            raise self._bad(name, f"{text} is outside MinValue and MaxValue")

    def _bad(self, name: str, why: str) -> TemplateError:
        return TemplateError(f"{self.name}: Parameters.{name}: {why}")


@dataclass(frozen=True)
class Assembly:
    """A folder that the twin can boot from.

    ``assets`` maps an asset's hash to the source folder (or file) that stands for it.
    ``account`` and ``region`` are None when the stacks are environment-agnostic.
    """

    folder: Path
    stacks: tuple[Stack, ...]
    assets: Mapping[str, Path]
    account: str | None = None
    region: str | None = None

    def check_environment(self, account: str, region: str) -> None:
        """Raise TemplateError unless the stacks may live in this account and region."""
        here = (("account", self.account, account), ("region", self.region, region))
        for what, wanted, actual in here:
            if wanted is not None and wanted != actual:
                raise TemplateError(
                    f"{self.folder}: synthesized for {what} {wanted}, the twin has {actual}; "
                    "start the twin with it or synthesize without an environment"
                )

    def check_overrides(self, parameters: Mapping[str, str]) -> None:
        """Raise TemplateError for a parameter that no stack has."""
        known = {name for stack in self.stacks for name in stack.parameters}
        unknown = sorted(set(parameters) - known)
        if unknown:
            names = ", ".join(sorted(known)) or "none"
            raise TemplateError(
                f"{self.folder.name}: there is no template parameter {unknown[0]}; known: {names}"
            )


@dataclass(frozen=True)
class Archives:
    """What is run instead of the sources of an assembly: zips, scripts, unpacked images, by key.

    Functions whose key is ``self_contained`` hold all packages that they import.
    """

    places: Mapping[str, Path]
    self_contained: frozenset[str] = frozenset()

    def instead_of_sources(self, assembly: Assembly) -> Assembly:
        """Return the assembly with these; raises TemplateError if a source would still be run."""
        home = assembly.folder.resolve()
        sources = {key for key, path in assembly.assets.items() if not path.is_relative_to(home)}
        if different := sorted(sources ^ self.places.keys()):
            raise TemplateError(
                f"{assembly.folder}: the assets {', '.join(different)} are not both named and built"
            )
        return replace(assembly, assets={**assembly.assets, **self.places})


@dataclass(frozen=True)
class _Folder:
    """One manifest with its place: the app's own, or that of a stage (CDK's ``Stage``)."""

    place: Path
    artifacts: Mapping[str, Mapping[str, Any]]

    def of_type(self, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the artifacts of one type in the order of their names."""
        return [
            (name, one) for name, one in sorted(self.artifacts.items()) if one.get("type") == kind
        ]

    def stack_name(self, artifact: str) -> str:
        """Return the name that an artifact's stack has in the account."""
        name: str = self.artifacts[artifact].get("properties", {}).get("stackName", artifact)
        return name


def load_assembly(folder: Path, root: Path | None = None) -> Assembly:
    """Read the assembly in ``folder``, with those of its stages: all their stacks in one.

    A stack comes after those that it depends on. ``root`` is what the paths in ``sources.json``
    are relative to; by default the nearest folder, from the assembly's own upwards, below which
    all of them exist. Raises TemplateError, also where two stages have a stack of one name.
    """
    folder = Path(folder)
    folders = _folders(folder, "write it with `cdk synth`, ours with `make synth`")
    found = [(stack, where) for each in folders for stack, where in _stacks(each)]
    if not found:
        raise TemplateError(f"{folder}: the manifest names no stack; synthesize it again")
    account, region = _environment(folder, {where for _, where in found})
    assets = sources = _sources(folder, root)
    for each in folders:
        assets = _packed_assets(each, sources) | assets
    stacks = _in_order(folder, [stack for stack, _ in found])
    return Assembly(folder, stacks, assets, account, region)


def _folders(place: Path, cure: str) -> list[_Folder]:
    """Return the manifest in a folder and those of the stages in it, the outermost first."""
    folder = _Folder(place, _read_json(place / "manifest.json", cure).get("artifacts", {}))
    found = [folder]
    for name, artifact in folder.of_type("cdk:cloud-assembly"):
        inner = artifact.get("properties", {}).get("directoryName")
        if not isinstance(inner, str) or (place / inner).resolve() == place.resolve():
            raise TemplateError(f"{place}: the stage {name} names no folder; synthesize it again")
        found += _folders(place / inner, "synthesize it again")
    return found


def _stacks(folder: _Folder) -> Iterator[tuple[Stack, str]]:
    """Yield the stacks of one manifest, each with the environment that it is for."""
    kind = "aws:cloudformation:stack"
    listed = dict(folder.of_type(kind))
    for name, artifact in listed.items():
        file = artifact.get("properties", {}).get("templateFile", f"{name}.template.json")
        # Dependencies are on assets, too; on a stack of another stage CDK admits none.
        after = (
            folder.stack_name(one) for one in artifact.get("dependencies", []) if one in listed
        )
        template = _read_json(folder.place / file, "synthesize it again")
        stack = Stack(folder.stack_name(name), template, tuple(sorted(after)))
        yield stack, artifact.get("environment", "")


def _in_order(folder: Path, stacks: list[Stack]) -> tuple[Stack, ...]:
    by_name = {stack.name: stack for stack in stacks}
    if len(by_name) < len(stacks):
        names = [stack.name for stack in stacks]
        twice = ", ".join(sorted(name for name in by_name if names.count(name) > 1))
        raise TemplateError(
            f"{folder}: more than one stack is called {twice}; the twin has one account and region"
        )
    needs = TopologicalSorter({stack.name: stack.after for stack in stacks})
    try:
        return tuple(by_name[name] for name in needs.static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise TemplateError(f"{folder}: stacks need each other in a circle: {circle}") from None


def _packed_assets(folder: _Folder, sources: Mapping[str, Path]) -> dict[str, Path]:
    """Return the assets that lie in the assembly itself, as ``cdk synth`` leaves them.

    The committed snapshot has none: ``sources.json`` leads to the working tree. Raises
    TemplateError where one that has no source there is listed and missing.
    """
    found: dict[str, Path] = {}
    for _, artifact in folder.of_type("cdk:asset-manifest"):
        listed = folder.place / artifact["properties"]["file"]
        if not listed.exists():
            continue
        assets = _read_json(listed, "synthesize it again")
        for kind, place in (("files", "path"), ("dockerImages", "directory")):
            for key, asset in assets.get(kind, {}).items():
                # What stages share lies in the app's folder: the path leads out of theirs.
                path = folder.place / asset.get("source", {}).get(place, "")
                if path != folder.place and path.exists():
                    found[key] = path.resolve()
                elif path != folder.place and key not in sources:
                    raise TemplateError(f"{path}: {listed.name} names it; synthesize it again")
    return found


def _environment(folder: Path, environments: set[str]) -> tuple[str | None, str | None]:
    if len(environments) > 1:
        listed = ", ".join(sorted(environments))
        raise TemplateError(f"{folder}: the twin has one account and region, not {listed}")
    account, _, region = environments.pop().removeprefix("aws://").partition("/")
    known = [
        None if part.startswith("unknown-") or not part else part for part in (account, region)
    ]
    return known[0], known[1]


def _sources(folder: Path, root: Path | None) -> dict[str, Path]:
    listed = folder / "sources.json"
    if not listed.exists():
        return {}
    entries = {
        key: entry if isinstance(entry, dict) else {"path": entry}
        for key, entry in _read_json(listed, "synthesize it again").items()
    }
    bases = [root] if root is not None else [folder, *folder.resolve().parents]
    missing = {base: _missing(base, entries) for base in bases}
    base = next((base for base in bases if not missing[base]), None)
    if base is None:
        # The base that has the most of them is the one that was meant.
        closest = min(bases, key=lambda each: len(missing[each]))
        key, source = missing[closest][0]
        raise TemplateError(f"{listed}: asset {key} has no source {source}; restore it")
    return {key: (base / entry["path"]).resolve() for key, entry in entries.items()}


def _missing(base: Path, entries: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (asset, path) of what does not exist below ``base``.

    ``include`` lists what of a folder is deployed; how it is packed for AWS does not matter here.
    """
    return [
        (key, str(Path(entry["path"], part)))
        for key, entry in entries.items()
        for part in entry.get("include", ["."])
        if not (base / entry["path"] / part).exists()
    ]


def _read_json(file: Path, cure: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise TemplateError(f"{file}: no such file; {cure}") from None
    except ValueError as error:
        raise TemplateError(f"{file}: not JSON ({error}); {cure}") from None
    if not isinstance(content, dict):
        raise TemplateError(f"{file}: must hold an object; {cure}")
    return content
