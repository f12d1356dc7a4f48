"""Features of the Gateway API that are supported, as `status.supportedFeatures` of a GatewayClass names them.

The conformance tests of the API run those of these features, so one that is named and fails shows there.
"""

_SUPPORTED = (
    'BackendTLSPolicy',
    'GRPCRoute',
    'GRPCRouteNamedRouteRule',
    'Gateway',
    'GatewayAddressEmpty',
    'GatewayBackendClientCertificate',
    'GatewayFrontendClientCertificateValidation',
    'GatewayFrontendClientCertificateValidationInsecureFallback',
    'GatewayHTTPListenerIsolation',
    'GatewayHTTPSListenerDetectMisdirectedRequests',
    'GatewayPort8080',
    'GatewayStaticAddresses',
    'HTTPRoute',
    'HTTPRoute303RedirectStatusCode',
    'HTTPRoute307RedirectStatusCode',
    'HTTPRoute308RedirectStatusCode',
    'HTTPRouteBackendProtocolH2C',
    'HTTPRouteBackendProtocolWebSocket',
    'HTTPRouteBackendRequestHeaderModification',
    'HTTPRouteBackendTimeout',
    'HTTPRouteCORS',
    'HTTPRouteDestinationPortMatching',
    'HTTPRouteHostRewrite',
    'HTTPRouteMethodMatching',
    'HTTPRouteNamedRouteRule',
    'HTTPRouteParentRefPort',
    'HTTPRoutePathRedirect',
    'HTTPRoutePathRewrite',
    'HTTPRoutePortRedirect',
    'HTTPRouteQueryParamMatching',
    'HTTPRouteRequestMirror',
    'HTTPRouteRequestMultipleMirrors',
    'HTTPRouteRequestPercentageMirror',
    'HTTPRouteRequestTimeout',
    'HTTPRouteResponseHeaderModification',
    'HTTPRouteRetry',
    'HTTPRouteRetryBackendTimeout',
    'HTTPRouteRetryConnectionError',
    'HTTPRouteSchemeRedirect',
    'ListenerSet',
    'ReferenceGrant',
    'TCPRoute',
    'TLSRoute',
    'TLSRouteModeMixed',
    'TLSRouteModeTerminate',
)
# Its weights are a part of it, and only the node role keeps them.
_BY_THE_NODE_ROLE = ('UDPRoute',)


def supported(*, node_role: bool) -> tuple[str, ...]:
    """Return the features that a class supports, with the node role or without."""
    return (*_SUPPORTED, *(_BY_THE_NODE_ROLE if node_role else ()))
