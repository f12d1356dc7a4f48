//go:build tools

// What tools/build_conformance.py builds besides, so that go.sum has all of it.
package conformance

import _ "sigs.k8s.io/gateway-api/conformance/echo-basic"
