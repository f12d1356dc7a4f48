"""Templates: layout only, in jinja2's sandbox, with one guard that every value passes.

The guard refuses None, undefined names and control characters, so no value can end its line. Free text also takes
`quote`, which makes it one word. An administrator's template of the same name takes the place of ours.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from headrace.haproxy.encode import syntax


class TemplateError(Exception):
    """A template cannot be used; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What an administrator adds: templates by name, lines of `global` and `defaults`, snippets by name."""

    templates: Mapping[str, str] = field(default_factory=dict)
    global_lines: tuple[str, ...] = ()
    defaults_lines: tuple[str, ...] = ()
    snippets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Block(str):
    """Lines that were made by `encode.syntax` and are known to be whole: the only text with line ends that may enter."""

    __slots__ = ()


def _guard(value: object) -> object:
    if value is None:
        raise TemplateError('a value is None')
    if not isinstance(value, Block):
        syntax.checked(str(value))
    return value


# Compiling takes longer than all else of a small configuration, and every view has a renderer of its own.
@functools.lru_cache(maxsize=4)
def _environment(overrides: tuple[tuple[str, str], ...]) -> ImmutableSandboxedEnvironment:
    """Return what compiles each template once: an administrator's own, given by name and text, and ours."""
    texts = dict(overrides)
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FunctionLoader(lambda name: texts.get(name, _built_in(name))),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_guard,
    )
    environment.filters['quote'] = syntax.quoted
    return environment


class Templates:
    """The templates of one installation, compiled once each."""

    def __init__(self, overrides: Overrides) -> None:
        self._environment = _environment(tuple(sorted(overrides.templates.items())))

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return a template's text; raises TemplateError."""
        try:
            return self._environment.get_template(name).render(values)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f'template {error.name or name}, line {error.lineno}: {error.message}') from error
        except (
            jinja2.TemplateError,
            syntax.ForbiddenCharacterError,
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise TemplateError(f'template {name}: {error}') from error


def _built_in(name: str) -> str | None:
    if not name.endswith('.j2') or '/' in name:
        return None
    resource = resources.files('headrace.haproxy.render').joinpath('templates', name)
    return resource.read_text() if resource.is_file() else None
