-- Sends a copy of a request to another Service. txn.mirror is PERCENT|BACKEND; the draw has been made. A task sends the copy by the
-- frontend of external authentication, which bounds how many a namespace has at once, so the request does not wait; the answer is
-- dropped. What has no copy: a method that Lua's client does not know, and a body without a declared length or above the buffer.
--
-- Nothing of an entry or a request is ever run as code.

local FRONTEND = 'unix@' .. (os.getenv('HEADRACE_SOCKETS') or '/run/headrace') .. '/external-auth.sock'
local TIMEOUT = 5000
local METHODS = { GET = 'get', HEAD = 'head', POST = 'post', PUT = 'put', DELETE = 'delete' }
-- Headers of one connection or body; the address of the copy has the Host.
local OF_CONNECTION = {
    ['connection'] = true, ['content-length'] = true, ['expect'] = true, ['host'] = true, ['http2-settings'] = true,
    ['keep-alive'] = true, ['proxy-connection'] = true, ['te'] = true, ['trailer'] = true, ['transfer-encoding'] = true,
    ['upgrade'] = true,
}

local function values(header)
    local found, number = {}, 0
    while header and header[number] do
        found[number + 1] = header[number]
        number = number + 1
    end
    return found
end

-- Returns the body, nil where it is not there as a whole. The rules have waited until it was, or the buffer was full.
local function whole_body(txn, headers)
    local body, declared = txn.f:req_body() or '', values(headers['content-length'])[1]
    if declared then return tonumber(declared) == #body and body or nil end
    return #body == 0 and not headers['transfer-encoding'] and '' or nil
end

local function send(method, request)
    local client = core.httpclient()
    client[method](client, request)
end

core.register_action('mirror', { 'http-req' }, function(txn)
    local headers = txn.http:req_get_headers()
    local method, host, body = METHODS[txn.f:method()], values(headers['host'])[1], whole_body(txn, headers)
    if not method or not host or host == '' or not body then return end
    local copied = {}
    for name, found in pairs(headers) do
        if not OF_CONNECTION[name] then copied[name] = values(found) end
    end
    copied['x-headrace-backend'] = { txn:get_var('txn.mirror'):match('|(.*)$') }
    copied['x-headrace-timeout'], copied['x-headrace-client'], copied['x-headrace-purpose'] = { tostring(TIMEOUT) }, { txn.f:src() }, { 'm' }
    core.register_task(send, method, {
        url = 'http://' .. host .. txn.f:pathq(), dst = FRONTEND, headers = copied, body = body ~= '' and body or nil, timeout = TIMEOUT,
    })
end, 0)
