-- What rules need of a request that only a program can tell. Each function is a fetch that a rule asks for where a flag of the
-- policy says so; what users wrote is data in maps, and is never run as code.

-- A redirect: txn.to is code|location, and `${name}` stands for a part of the request. An empty text refuses the request.

local function encoded(text)
    return (text:gsub('[^!-~]', function(byte) return ('%%%02X'):format(byte:byte()) end):gsub('|', '%%7C'))
end

local function absolute(path)
    return path:byte(1) == 47 and path or '/' .. path
end

-- Other files use it too.
function escaped(text)
    return (text:gsub('[^%w._~-]', function(byte) return ('%%%02X'):format(byte:byte()) end))
end

local VARIABLES = {
    scheme = function(txn) return (txn:get_var('txn.https') or txn.f:ssl_fc()) and 'https' or 'http' end,
    host = function(txn)
        local host = txn:get_var('txn.host') or ''
        return host:match('^[%w._-]+$') or host:match('^%[[%x:.]+%]$')
    end,
    request_uri = function(txn) return encoded(absolute(txn.f:pathq() or '')) end,
    escaped_request_uri = function(txn) return escaped(absolute(txn.f:pathq() or '')) end,
    uri = function(txn) return encoded(absolute(txn.f:path() or '')) end,
    args = function(txn) return encoded(txn.f:query() or '') end,
    query = function(txn)
        local query = encoded(txn.f:query() or '')
        return query == '' and '' or '?' .. query
    end,
    -- The port as clients know it, the listener's or a given one; nothing where it is the scheme's own.
    port = function(txn, given)
        local port, secure = given ~= '' and given or txn:get_var('txn.public'), txn:get_var('txn.https') or txn.f:ssl_fc()
        return (not port or port == (secure and '443' or '80')) and '' or ':' .. port
    end,
    -- What follows the first bytes of a path; `rest` is a path of its own.
    tail = function(txn, count) return encoded((txn.f:path() or ''):sub(tonumber(count) + 1)) end,
    rest = function(txn, count) return encoded(absolute((txn.f:path() or ''):sub(tonumber(count) + 1))) end,
}

-- Returns a place with parts of the request for its variables, nil where one of them has none. Other files use it too.
function place_of_request(txn, template)
    local whole = true
    local place = template:gsub('%${([a-z_]+)(%d*)}', function(name, number)
        local value = VARIABLES[name](txn, number)
        whole = whole and value
        return value or ''
    end)
    return whole and place or nil
end

core.register_fetches('redirect', function(txn) return place_of_request(txn, txn:get_var('txn.to')) or '' end)

-- A canary by an expression of a header: the map has NAME|EXPRESSION for the policy. Compiled expressions are kept by their texts.

local patterns = Map.new('maps/canary-pattern.map', Map._str)
local MOST_COMPILED = 1000
local compiled, count = {}, 0

local function expression(text)
    local found = compiled[text]
    if found == nil then
        local good, result = Regex.new(text, true)
        if count >= MOST_COMPILED then compiled, count = {}, 0 end
        found = good and result or false
        compiled[text], count = found, count + 1
    end
    return found
end

core.register_fetches('canary', function(txn)
    local name, text = (patterns:lookup(txn:get_var('txn.policy')) or ''):match('^([^|]*)|(.*)$')
    local value = name and messages.header(txn, name)
    local found = value and expression(text)
    return found and (found:match(value)) or false
end)

-- The origin of a request with `*` for some of its host's first labels, as the policy's origins have it; an empty text where it has
-- none of these. The map has keys POLICY:ORIGIN.

local origins = Map.new('maps/cors-origin.map', Map._str)
local MAX_ORIGIN = 300

core.register_fetches('origin', function(txn)
    local origin, policy = txn:get_var('txn.origin'), txn:get_var('txn.policy')
    local scheme, rest = origin:match('^(%l+://)(.+)$')
    if not scheme or #origin > MAX_ORIGIN then return '' end
    local host, port = rest:match('^(.-)(:?%d*)$')
    if port ~= '' and port:byte(1) ~= 58 then host, port = rest, '' end
    repeat
        host = host:match('^[^.]*%.(.+)$')
        local found = scheme .. (host and '*.' .. host or '*') .. port
        if origins:lookup(policy .. ':' .. found) then return found end
    until not host
    return ''
end)

-- What chooses an endpoint by its hash: the text of the policy that is the backend's own, with parts of the request for `${name}`.

local hashes = Map.new('maps/hash.map', Map._str)

local PARTS = {
    request_uri = function(txn) return txn.f:pathq() end,
    uri = function(txn) return txn.f:path() end,
    args = function(txn) return txn.f:query() end,
    host = function(txn) return txn:get_var('txn.host') end,
    http_host = function(txn) return txn:get_var('txn.host') end,
    scheme = VARIABLES.scheme,
    request_method = function(txn) return txn.f:method() end,
    remote_addr = function(txn) return txn.f:src() end,
    binary_remote_addr = function(txn) return txn.f:src() end,
}

-- Parts that have a name of their own, by what stands before it.
local NAMED = {
    http = function(txn, name) return messages.header(txn, (name:gsub('_', '-'))) end,
    arg = function(txn, name) return txn.f:url_param(name) end,
    cookie = function(txn, name) return txn.f:req_cook(name) end,
}

core.register_fetches('hashed', function(txn)
    local text = hashes:lookup(txn:get_var('txn.owner')) or ''
    return (text:gsub('%${([%w_]+)}', function(part)
        local read, name = PARTS[part], nil
        if not read then
            local kind
            kind, name = part:match('^(%l+)_(.*)$')
            read = NAMED[kind]
        end
        return read(txn, name) or ''
    end))
end)
