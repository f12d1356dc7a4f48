-- Replaces an answer whose status is one of those of the route by what another Service answers. txn.errors is the entry, whose
-- form is that of `haproxy/encode/routes.py`; the frontend of external authentication leads to the Service. Where that gives no
-- answer, the one that there is stays.
--
-- Nothing of an entry, a request or an answer is ever run as code.

local FRONTEND = 'unix@' .. (os.getenv('HEADRACE_SOCKETS') or '/run/headrace') .. '/external-auth.sock'
local TIMEOUT = 5000
-- Headers of one connection or body, and the mark of an answer that is an endpoint's.
local OF_CONNECTION = {
    ['connection'] = true, ['content-length'] = true, ['keep-alive'] = true, ['transfer-encoding'] = true, ['upgrade'] = true,
    ['x-headrace-answer'] = true,
}

local function question(txn, fields)
    local asked = {
        ['x-code'] = fields.status, ['x-format'] = txn:get_var('txn.accept'), ['x-original-uri'] = txn:get_var('txn.uri'),
        ['x-namespace'] = fields.namespace, ['x-ingress-name'] = fields.ingress, ['x-service-name'] = fields.service,
        ['x-service-port'] = fields.port, ['x-request-id'] = txn:get_var('txn.id') or txn.f:uuid(),
        ['x-headrace-backend'] = fields.backend, ['x-headrace-timeout'] = tostring(TIMEOUT), ['x-headrace-client'] = txn.f:src(),
        ['x-headrace-purpose'] = 'e',
    }
    local headers = {}
    for name, value in pairs(asked) do
        if value and value ~= '' then headers[name] = { value } end
    end
    return headers
end

local function read(text, status)
    local statuses, backend, namespace, ingress, service, port = text:match('^(.*)|(.*)|(.*)|(.*)|(.*)|(.*)$')
    return statuses and (',' .. statuses .. ','):find(',' .. status .. ',', 1, true) and {
        status = status, backend = backend, namespace = namespace, ingress = ingress, service = service, port = port,
    }
end

local function replace(txn, status)
    local fields = read(txn:get_var('txn.errors'), status)
    if not fields then return end
    local client = core.httpclient()
    local response = client:get { url = 'http://' .. fields.service .. '/', dst = FRONTEND, headers = question(txn, fields), timeout = TIMEOUT }
    if not response or not response.headers['x-headrace-answer'] then return end
    local reply = txn:reply { status = response.status, reason = response.reason, body = response.body }
    for name, values in pairs(response.headers) do
        local number = 0
        while not OF_CONNECTION[name] and values[number] do
            reply:add_header(name, values[number])
            number = number + 1
        end
    end
    txn:done(reply)
end

core.register_action('error-page', { 'http-res' }, function(txn) replace(txn, tostring(txn.f:status())) end, 0)
core.register_action('error-page-unavailable', { 'http-req' }, function(txn) replace(txn, '503') end, 0)
