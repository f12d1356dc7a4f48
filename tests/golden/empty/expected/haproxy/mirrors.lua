-- Sends a copy of a request to another Service. txn.mirror is PERCENT|BACKEND; the draw has been made. A task sends the copy by the
-- frontend `internal`, which bounds how many a namespace has at once, so the request does not wait; the answer is dropped. What has no
-- copy: a method that Lua's client does not know, and a body without a declared length or above the buffer.
--
-- Nothing of an entry or a request is ever run as code.

local TIMEOUT = 5000
local METHODS = { GET = 'get', HEAD = 'head', POST = 'post', PUT = 'put', DELETE = 'delete' }
local values = messages.values

-- Returns the body, nil where it is not there as a whole. The rules have waited until it was, or the buffer was full.
local function whole_body(txn, headers)
    local body, declared = txn.f:req_body() or '', values(headers['content-length'])[1]
    if declared then return tonumber(declared) == #body and body or nil end
    return #body == 0 and not headers['transfer-encoding'] and '' or nil
end

core.register_action('mirror', { 'http-req' }, function(txn)
    local headers = txn.http:req_get_headers()
    local method, host, body = METHODS[txn.f:method()], values(headers['host'])[1], whole_body(txn, headers)
    if not method or not host or host == '' or not body then return end
    local copied = {}
    for name, found in pairs(headers) do
        if not messages.OF_CONNECTION[name] then copied[name] = values(found) end
    end
    core.register_task(messages.send, method, {
        url = 'http://' .. host .. txn.f:pathq(), headers = copied, body = body ~= '' and body or nil, timeout = TIMEOUT,
    }, { backend = txn:get_var('txn.mirror'):match('|(.*)$'), client = txn.f:src(), purpose = 'm' })
end, 0)
