-- Replaces an answer whose status is one of those of the route by what another Service answers. txn.errors is the entry, whose
-- form is that of `haproxy/encode/routes.py`; the frontend `internal` leads to the Service. Where that gives no answer, the one that
-- there is stays.
--
-- Nothing of an entry, a request or an answer is ever run as code.

local TIMEOUT = 5000

local function question(txn, fields)
    local asked = {
        ['x-code'] = fields.status, ['x-format'] = txn:get_var('txn.accept'), ['x-original-uri'] = txn:get_var('txn.uri'),
        ['x-namespace'] = fields.namespace, ['x-ingress-name'] = fields.ingress, ['x-service-name'] = fields.service,
        ['x-service-port'] = fields.port, ['x-request-id'] = txn:get_var('txn.id') or txn.f:uuid(),
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
    local request = { url = 'http://' .. fields.service .. '/', headers = question(txn, fields), timeout = TIMEOUT }
    local response = messages.send('get', request, { backend = fields.backend, client = txn.f:src(), purpose = 'e' })
    if not response or not response.headers['x-headrace-answer'] then return end
    local reply = txn:reply { status = response.status, reason = response.reason, body = response.body }
    for name, header in pairs(response.headers) do
        if not messages.OF_CONNECTION[name] then
            for _, value in ipairs(messages.values(header)) do reply:add_header(name, value) end
        end
    end
    txn:done(reply)
end

core.register_action('error-page', { 'http-res' }, function(txn) replace(txn, tostring(txn.f:status())) end, 0)
core.register_action('error-page-unavailable', { 'http-req' }, function(txn) replace(txn, '503') end, 0)
