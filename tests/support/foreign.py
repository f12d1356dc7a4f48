"""Small golden cases of foreign annotations: what an Ingress has, and what becomes of it."""

from dataclasses import dataclass, field

import pytest

from headrace.annotations.foreign.read import DIALECTS, read
from headrace.annotations.foreign.translation import Structure
from headrace.annotations.keys import BY_NAME
from headrace.annotations.values import Invalid


@dataclass(frozen=True)
class Case:
    """Foreign annotations without their prefix, and what is expected of them.

    `texts` are headrace's annotations. Of each foreign key that is not exact, `differs` or `ignored` has a part of the
    reason. `needs` is a value of one of headrace's keys that this version may not take yet.
    """

    given: dict[str, str]
    texts: dict[str, str] = field(default_factory=dict)
    differs: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    closed: tuple[str, ...] = ()
    structure: Structure = field(default_factory=Structure)
    own: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, str] | None = None

    def supported(self) -> bool:
        """Tell whether this version has all keys of headrace that the case is about."""
        if self.needs and (
            self.needs[0] not in BY_NAME or isinstance(BY_NAME[self.needs[0]].parse(self.needs[1]), Invalid)
        ):
            return False
        return set(self.texts) <= set(BY_NAME)


def case(name: str, given: dict[str, str], **expected: object):
    """Return a case as a parameter of a test."""
    return pytest.param(Case(given, **expected), id=name)


def judge(dialect: str, case: Case) -> None:
    """Translate a case, and compare what becomes of it with what is expected."""
    prefix = DIALECTS[dialect].prefixes[0]
    annotations = [(prefix + key, value) for key, value in case.given.items()]
    annotations += [(f'headrace.io/{key}', value) for key, value in case.own.items()]
    foreign = read(dialect, tuple(sorted(annotations)), 'shop')
    assert foreign.values == {key: BY_NAME[key].parse(text) for key, text in foreign.texts}
    texts = dict(foreign.texts)
    if not case.supported():
        # A key that is not there yet is left out, and what is there is as expected.
        assert texts.items() <= case.texts.items() or case.needs
        assert any(
            'not yet' in remark.text or remark.closes or remark.verdict == 'ignored' for remark in foreign.remarks
        )
        return
    assert texts == case.texts
    assert foreign.structure == case.structure
    assert foreign.closed == tuple(prefix + key for key in sorted(case.closed))
    verdicts = {remark.key.removeprefix(prefix): remark for remark in foreign.remarks}
    assert set(verdicts) == set(case.given)
    for key, remark in verdicts.items():
        part = case.differs.get(key, case.ignored.get(key, ''))
        expected = 'differs' if key in case.differs else 'ignored' if key in (*case.ignored, *case.closed) else 'exact'
        assert (remark.verdict, remark.closes) == (expected, key in case.closed), remark
        assert part in remark.text
        assert remark.field == f'metadata.annotations[{prefix}{key}]'
