"""The table of keys agrees with itself and with the settings' classes."""

import re

import msgspec
import pytest

from headrace.annotations import keys, settings
from headrace.annotations.keys import Scope

HOLDERS = {
    Scope.EXPOSURE: settings.Exposure,
    Scope.ROUTE: settings.RouteSettings,
    Scope.BACKEND: settings.BackendSettings,
}


def test_names_are_of_lower_case_words_and_occur_once():
    assert len(keys.BY_NAME) == len(keys.KEYS)
    assert all(re.fullmatch(r'[a-z]+(-[a-z]+)*', key.name) for key in keys.KEYS)


@pytest.mark.parametrize('scope', HOLDERS)
def test_each_field_of_the_settings_has_a_key_and_each_key_a_field(scope):
    fields = {field.name for field in msgspec.structs.fields(HOLDERS[scope])}
    assert fields == {key.field for key in keys.KEYS if key.scope is scope}


def test_what_would_be_unsafe_to_treat_as_absent_closes():
    expected = {
        'allow',
        'backend-ca-secret',
        'basic-auth-secret',
        'basic-auth-secret-type',
        'client-ca-secret',
        'deny',
        'external-auth-body-size',
        'external-auth-method',
        'external-auth-path',
        'external-auth-response-headers',
        'external-auth-service',
        'external-auth-url',
        'global-auth',
        'maintenance',
        'path-type',
        'redirect-to',
        'tls-secret',
    }
    assert expected == keys.CLOSING
