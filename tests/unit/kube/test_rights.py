"""The table of rights agrees with what is watched, and with what the documentation says."""

import itertools
import re
from dataclasses import replace

import pytest

from conftest import ROOT
from headrace.kube import resources, rights
from headrace.kube.rights import RULES, When, Where
from headrace.objects.references import GATEWAY_GROUP
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role, Topology

SETTINGS = [
    Settings(
        namespaces=namespaces,
        secrets=Secrets(namespaces=secrets),
        address_source=source,
        ingress=ingress,
        gateway_api=gateway_api,
    )
    for namespaces, secrets, source, ingress, gateway_api in itertools.product(
        [(), ('a', 'b')], [(), ('a',), ('*',)], ['endpoints', 'node-ports'], [True, False], [True, False]
    )
]


@pytest.mark.parametrize('role', [Role.EDGE, Role.NODE])
@pytest.mark.parametrize('topology', [Topology(), Topology(node='n1'), Topology(node='n1', zone='z')], ids=str)
def test_what_is_watched_has_a_line_that_says_where(role, topology):
    for settings in SETTINGS:
        seen = replace(build_context.make(settings, role=role, topology=topology), api_server=True)
        uses = [When.ALWAYS, *([When.INGRESS] if settings.ingress else [])]
        uses += [When.GATEWAY_API] if settings.gateway_api else []
        uses += [When.CONFIG_MAPS] if settings.gateway_api or settings.allowed_response_headers else []
        places = {*Where} - ({Where.UNLIMITED} if settings.namespaces else set())
        if settings.address_source == 'node-ports' or (topology.node and not topology.zone):
            uses.append(When.NODE_ADDRESSES)
        may = {
            (rule.group, rule.resource)
            for rule in RULES
            if str(role) in rule.roles
            and rule.when in uses
            and rule.where in places
            and {'list', 'watch'} <= set(rule.verbs)
        }
        watched = {
            (resource.group, resource.plural) for scope in resources.scopes_of(seen) for resource in scope.resources
        }
        assert watched <= may
        # Of these it depends on the settings whether there is a line.
        for kind in (
            ('', 'nodes'),
            ('', 'namespaces'),
            ('networking.k8s.io', 'ingresses'),
            ('networking.k8s.io', 'ingressclasses'),
            *((GATEWAY_GROUP, plural) for plural in ('gatewayclasses', 'gateways', 'udproutes')),
        ):
            assert (kind in watched) == (kind in may)


def test_rules_are_those_of_the_roles_and_places():
    own = rights.rules(['edge'], [Where.OWN])
    assert own == [
        {
            'apiGroups': ['coordination.k8s.io'],
            'resources': ['leases'],
            'verbs': ['get', 'create', 'update', 'delete'],
        }
    ]
    named = rights.rules(['external'], [Where.OWN], agent='lb-1', account='headrace-lb-1')
    assert [(rule['resources'], rule['resourceNames']) for rule in named] == [
        (['leases'], ['headrace-edge-lb-1']),
        (['leases'], ['headrace-controller', 'headrace-class-held']),
        (['serviceaccounts/token'], ['headrace-lb-1']),
    ]
    nodes = [{'apiGroups': [''], 'resources': ['nodes'], 'verbs': ['list', 'watch']}]
    assert rights.rules(['edge'], [Where.CLUSTER]) == []
    assert rights.rules(['edge'], [Where.CLUSTER], [When.NODE_ADDRESSES]) == nodes
    assert rights.rules(['node'], [Where.CLUSTER]) == nodes
    assert rights.rules(['controller'], [Where.CLUSTER], [When.STATUS_OF_NODES]) == nodes


def test_each_line_has_a_reason_and_none_stands_there_twice():
    assert all(rule.reason.endswith('.') for rule in RULES)
    said = [
        (role, rule.group, rule.resource, verb, rule.where, rule.when, rule.names)
        for rule in RULES
        for role in rule.roles
        for verb in rule.verbs
    ]
    assert len(said) == len(set(said))


def test_the_documentation_tells_the_same():
    text = (ROOT / 'docs' / 'running.md').read_text()
    told = set()
    for role, cells, verbs in re.findall(
        r'^\| (edge|external|controller|dashboard)[^|]*\|([^|]*)\|([^|]*)\|$', text, re.MULTILINE
    ):
        for name in re.findall(r'`([a-z0-9./]+)`', cells.partition(' in the namespaces')[0]):
            group, resource = name.split('/', 1) if '.' in name else ('', name)
            told |= {(role, group, resource, verb) for verb in verbs.strip().split(', ')}
    told |= {('external', *right) for role, *right in told if role == 'edge' and right[1] != 'leases'}
    assert told == {
        (role, rule.group, rule.resource, verb)
        for rule in RULES
        for role in rule.roles
        for verb in rule.verbs
        if role != 'node'
    }
