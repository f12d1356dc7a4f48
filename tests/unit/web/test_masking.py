"""Credentials in answers of agents are not for display."""

import pytest

from headrace.web.views import explained, masking, routes

SECRET = 's3cr3t-value'


@pytest.mark.parametrize(
    'name',
    ['Authorization', 'Proxy-Authorization', 'cookie', 'Set-Cookie', 'X-Api-Key', 'X-Auth-Request-Access-Token', 'x-csrf-token',
     'X-Secret', 'password', 'X-Amz-Credential', 'X-Session-Id', 'api_key', 'key', 'X-Signature'],
)  # fmt: skip
def test_values_of_headers_that_let_somebody_in_are_hidden(name):
    assert masking.value(name, SECRET) == masking.HIDDEN
    assert SECRET not in masking.told(f"header {name} is '{SECRET}', not 'x{SECRET}'")


@pytest.mark.parametrize('name', ['X-Forwarded-Proto', 'Host', 'X-Version', 'Accept', 'X-Monkey', 'X-Keyboard'])
def test_other_values_are_shown(name):
    assert masking.value(name, 'shown') == 'shown'
    sentence = f"header {name} is 'one', not 'two'"
    assert masking.told(sentence) == sentence


def test_users_passwords_and_tokens_of_urls_are_hidden():
    text = masking.url(f'redirect to https://user:{SECRET}@a.example.com/x?page=2&access_token={SECRET}')
    assert SECRET not in text
    assert 'page=2' in text


def test_an_explained_request_shows_no_credentials():
    answer = {
        'steps': [{'stage': 'route', 'subject': 'a/', 'because': f"header authorization is 'Basic {SECRET}', not 'Basic x'"}],
        'outcome': {
            'headers': {'set-cookie': SECRET, 'location': f'https://a.example.com/?token={SECRET}'},
            'destinations': [{'service': 'shop/web', 'headers': [{'action': 'set', 'name': 'Authorization', 'value': SECRET}]}],
            'because': 'the endpoint answers',
        },
        'provisos': [{'status': 403, 'because': f"cookie sid is '{SECRET}', not 'x'"}],
    }  # fmt: skip
    assert SECRET not in str(explained.trace(answer))


def test_conditions_of_a_route_show_no_credentials():
    answer = {
        'candidates': [
            {'headers': [{'name': 'authorization', 'value': SECRET}], 'query': [{'name': 'token', 'value': SECRET}]}
        ]
    }
    (candidate,) = routes.route(answer).candidates
    assert SECRET not in str(candidate)
    assert len(candidate.conditions) == 2
