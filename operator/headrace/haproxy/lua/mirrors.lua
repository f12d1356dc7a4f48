-- Sends copies of a request to other Services. The map has NAMESPACE,NUMERATOR/DENOMINATOR|BACKEND,… for a policy. A task sends each
-- copy by the frontend `internal`, which bounds how many a namespace has at once, so the request does not wait; the answer is
-- dropped. What has no copy: a method that Lua's client does not know, and a body without a declared length or above the buffer.
--
-- Nothing of an entry or a request is ever run as code.

local mirrors = Map.new('maps/mirrors.map', Map._str)
local TIMEOUT = 5000
local METHODS = { GET = 'get', HEAD = 'head', POST = 'post', PUT = 'put', DELETE = 'delete' }
local values = messages.values

-- Returns NAMESPACE,BACKEND,… with the backends that get a copy of this request, an empty text where there is none.
core.register_fetches('mirrors', function(txn)
    local drawn = {}
    local namespace, list = (mirrors:lookup(txn:get_var('txn.policy')) or ''):match('^([^,]*)(.*)$')
    for numerator, denominator, backend in list:gmatch(',(%d+)/(%d+)|([^,]+)') do
        if txn.f:rand(tonumber(denominator)) < tonumber(numerator) then drawn[#drawn + 1] = ',' .. backend end
    end
    return #drawn > 0 and namespace .. table.concat(drawn) or ''
end)

-- Returns the body, nil where it is not there as a whole. The rules have waited until it was, or the buffer was full.
local function whole_body(txn, headers)
    local body, declared = txn.f:req_body() or '', values(headers['content-length'])[1]
    if declared then return tonumber(declared) == #body and body or nil end
    return #body == 0 and not headers['transfer-encoding'] and '' or nil
end

local function copied(headers)
    local found = {}
    for name, header in pairs(headers) do
        if not messages.OF_CONNECTION[name] then found[name] = values(header) end
    end
    return found
end

core.register_action('mirror', { 'http-req' }, function(txn)
    local headers = txn.http:req_get_headers()
    local method, host, body = METHODS[txn.f:method()], values(headers['host'])[1], whole_body(txn, headers)
    if not method or not host or host == '' or not body then return end
    local namespace, backends = txn:get_var('txn.mirrors'):match('^([^,]*)(.*)$')
    for backend in backends:gmatch('[^,]+') do
        core.register_task(messages.send, method, {
            url = 'http://' .. host .. txn.f:pathq(), headers = copied(headers), body = body ~= '' and body or nil, timeout = TIMEOUT,
        }, { backend = backend, namespace = namespace, client = txn.f:src(), purpose = 'm' })
    end
end, 0)
