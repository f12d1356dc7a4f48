-- Chooses among the candidates of a route by the conditions of each; the form of the value is that of `haproxy/routes.py`.
-- The value of a route with conditions is in txn.route. What is fetched is the target of the first candidate whose conditions
-- the request fulfils. Where there is none, the next shorter path of the host is looked up; with no path left, it is an
-- empty text. txn.looked is the text whose longest prefix among the keys of the map is the key of the route.
--
-- Nothing of a value is ever run as code: texts are compared, and expressions are given to PCRE2 with a bound of their own.

local routes = Map.new('maps/routes.map', Map._beg)
-- Those of Gateways' listeners: the class's own ports must find none, whatever a Host header begins with.
local gateway_routes = Map.new('maps/gateway-routes.map', Map._beg)
-- By policy: the path that a request gets, with `$1` to `$9` for what groups of the path's expression matched.
local rewrites = Map.new('maps/rewrite-captures.map', Map._str)
-- By port and host, `PORT:HOST`: the listeners of Gateways that end TLS.
local tls_hosts = Map.new('maps/gateway-hosts.map', Map._str)
-- By port and host: whether clients must show a certificate that is valid.
local tls_clients = Map.new('maps/gateway-clients.map', Map._str)
-- By port and host: routes of connections.
local l4_routes = Map.new('maps/l4-routes.map', Map._str)
local MAX_PATH = 8192
local split = messages.split

-- What was read from values, by their text. The older half goes when the younger one is full, so values that are gone do
-- not stay, and memory is bounded.
local MAX_BYTES = 4 * 1024 * 1024
local young, old, bytes = {}, {}, 0
-- Expressions that any of the read values has; equal ones are compiled once.
local expressions = setmetatable({}, { __mode = 'v' })

local function decoded(text)
    return (text:gsub('%%(%x%x)', function(digits) return string.char(tonumber(digits, 16)) end))
end

local function expression(text)
    local found = expressions[text]
    if not found then
        local good, compiled = Regex.new(text, true)
        found = good and compiled or nil
        expressions[text] = found
    end
    return found
end

local function equal(wanted)
    return function(value) return value == wanted end
end

local function matching(text)
    local compiled = expression(text)
    return compiled and function(value) return value ~= nil and (compiled:match(value)) end
end

-- How what a condition names is read from a request.

local function parameters(txn)
    local found = {}
    for _, part in ipairs(split(txn.f:query() or '', '&')) do
        local name, value = part:match('^([^=]*)=?(.*)$')
        name = decoded((name:gsub('+', ' ')))
        if found[name] == nil then found[name] = decoded((value:gsub('+', ' '))) end
    end
    return found
end

-- A path as endpoints may read it, as the rules for odd paths have it: what needs no escape without one, `\` as `/`, and neither
-- parameters, nor empty elements, nor blanks around elements.
local function reading(path)
    if not path:find('[%%;\\]') and not path:find('//', 1, true) then return path end
    path = path:gsub('%%(%x%x)', function(digits)
        local character = string.char(tonumber(digits, 16))
        return character:find("[%w%-._~!$&'()*+,;=:@/\\]") and character or '%' .. digits:upper()
    end)
    path = path:gsub('\\', '/'):gsub('%%20', ' '):gsub(' +([/;])', '%1'):gsub(' +$', ''):gsub('/ +', '/'):gsub(' ', '%%20')
    return (path:gsub(';[^/]*', ''):gsub('/+', '/'))
end

-- The path of a rewritten request, or nil where it is too long, or leads out of what the policy names.
local function rewritten(policy, captures)
    local template = rewrites:lookup(policy)
    if not template then return nil end
    local path = template:gsub('%$(%d)', function(number) return captures[tonumber(number) + 1] or '' end)
    path = path:gsub('[^!-~]', function(byte) return ('%%%02X'):format(byte:byte()) end):gsub('%?', '%%3F'):gsub('#', '%%23')
    -- A group can cut an escape in two; the halves are plain text.
    path = path:gsub('%%(%x?%x?)', function(digits) return (#digits == 2 and '%' or '%25') .. digits end)
    if #path > MAX_PATH or (reading(path) .. '/'):find('/%.%.?/') then return nil end
    return path
end

local readers = {
    m = function(request) return request.txn.f:method() end,
    h = function(request, name) return messages.header(request.txn, name) end,
    q = function(request, name)
        request.parameters = request.parameters or parameters(request.txn)
        return request.parameters[name]
    end,
}

-- Kinds of conditions whose value is an expression.
local EXPRESSIONS = { H = true, Q = true }

local function read_candidate(text)
    local fields = split(text, '!')
    local found = { target = fields[1] }
    local policy, flags = fields[1]:match('^[^|]*|([^|]*)|([^|]*)')
    if flags and flags:find('f', 1, true) then found.rewrites = policy end
    for place = 2, #fields, 2 do
        local kind, name, value = fields[place]:sub(1, 1), decoded(fields[place]:sub(2)), decoded(fields[place + 1])
        if kind == 'p' then
            found.path = expression(value) or false
        else
            local test
            if EXPRESSIONS[kind] then test = matching(value) else test = equal(value) end
            found[#found + 1] = { read = readers[kind:lower()], name = name, test = test }
        end
    end
    return found
end

local function read(value)
    local found = young[value]
    if found then return found end
    found = old[value]
    if not found then
        local parts = split(value, ',')
        found = { key = decoded(parts[1]:sub(2)) }
        -- The text ends with a separator.
        for place = 2, #parts - 1 do found[place - 1] = read_candidate(parts[place]) end
    end
    bytes = bytes + #value
    if bytes > MAX_BYTES then old, young, bytes = young, {}, #value end
    young[value] = found
    return found
end

-- Returns true or false, and what the groups of the path's expression matched; nil where an expression cannot be compiled, and
-- ODD where it is true of one reading of the path and not of another one.
local ODD = {}

local function on_path(request, candidate)
    if candidate.path == nil then return true end
    if not candidate.path then return nil end
    local path = request.path or request.txn.f:path() or ''
    request.path, request.reading = path, request.reading or reading(path)
    local matched, captures = candidate.path:match(path)
    if request.reading ~= path and matched ~= (candidate.path:match(request.reading)) then return ODD end
    return matched, captures
end

local function fulfils(request, candidate)
    for _, condition in ipairs(candidate) do
        if not condition.test then return nil end
        if not condition.test(condition.read(request, condition.name)) then return false end
    end
    return on_path(request, candidate)
end

-- Returns the target of the first candidate that a request fulfils, of a value or of those of shorter paths; the value of a shorter
-- path that has no conditions; '' where there is none, and where a path is ODD.
local function choose(request, value)
    local txn = request.txn
    while value and value:byte(1) == 63 do
        local list = read(value)
        for _, candidate in ipairs(list) do
            local fulfilled, captures = fulfils(request, candidate)
            -- The rules refuse an odd path that finds no route.
            if fulfilled == ODD then return '' end
            if fulfilled ~= false then
                -- `NAMESPACE_` is no route: the rules go on to wildcards.
                if candidate.target:byte(-1) == 95 then
                    txn:unset_var('txn.looked')
                    return candidate.target
                end
                txn:set_var('txn.looked', list.key)
                if fulfilled and candidate.rewrites then
                    txn:set_var('txn.rewritten', rewritten(candidate.rewrites, captures or {}) or '')
                end
                -- What cannot be judged is closed: the next candidate could be open to more clients.
                return fulfilled and candidate.target or candidate.target .. 'X'
            end
        end
        local shorter = list.key:sub(1, -2)
        txn:set_var('txn.looked', shorter)
        value = request.routes:lookup(shorter)
    end
    -- `NAMESPACE_` is no route either: the rules go on to wildcards.
    if not value or value:byte(-1) == 95 then txn:unset_var('txn.looked') end
    return value or ''
end

-- A fetch: an action of Lua costs 2 to 4 us more.
core.register_fetches('choose', function(txn) return choose({ txn = txn, routes = routes }, txn:get_var('txn.route')) end)

-- Listeners of Gateways: a port's keys are PORT:HOST/PATH, and the host is the most specific one that has a route for the request:
-- the host itself, `*` and what is left after each of its labels, `*` alone. `_` stands where a listener's host has no route, and
-- ends the search: less specific hosts are other listeners'.

local function hosts(host)
    local next_host, rest = host, host
    return function()
        local found = next_host
        if found == nil then return nil end
        rest = rest and rest:match('%.(.+)$')
        if found == '*' then next_host = nil else next_host = rest and '*.' .. rest or '*' end
        return found
    end
end

-- From `PORT:HOST` to the route of connections that the most specific wildcard for the host has, `_` for none.
core.register_converters('wildcard_route', function(key)
    local port, host = key:match('^(%d+):(.*)$')
    for found in hosts(host or '') do
        local value = l4_routes:lookup(port .. ':' .. found)
        if value then return value end
    end
    return '_'
end)

-- Returns the target, and the value of the map and the host that it is of.
local function at_port(txn, port, path)
    local request = { txn = txn, routes = gateway_routes }
    for host in hosts(txn:get_var('txn.host') or '') do
        local stem = port .. ':' .. host
        local looked = stem .. path .. '/#'
        local value = gateway_routes:lookup(looked)
        if value then
            txn:set_var('txn.looked', looked)
            local target = value:byte(1) == 63 and choose(request, value) or value
            if target ~= '' then
                txn:set_var('txn.stem', stem)
                return target, value, stem
            end
        end
    end
    return '_', '_', ''
end

-- Returns the listener of a host by its key, and what stands there: `_` where it has no certificate.
local function tls_listener(port, host)
    for found in hosts(host) do
        local stem = port .. ':' .. found
        local value = tls_hosts:lookup(stem)
        if value then return stem, value end
    end
end

-- Over TLS a request is for the listener of the name that the connection was made with. Returns what is answered where it is not.
local function misplaced(txn, port)
    local host, name = txn:get_var('txn.host') or '', (txn.f:ssl_fc_sni() or ''):lower()
    local own, value = tls_listener(port, host)
    if not own or value == '_' then return '_' end
    if tls_clients:lookup(own) and not txn.f:ssl_c_used() then return 'misdirected' end
    return name ~= host and tls_listener(port, name) ~= own and 'misdirected'
end

core.register_fetches('gateway', function(txn)
    local port, path, reading = txn:get_var('txn.port'), txn.f:path(), txn:get_var('txn.read')
    if not path then return '_' end
    local refusal = txn.f:ssl_fc() and misplaced(txn, port)
    if refusal then return refusal end
    local other, other_value, other_stem
    -- An odd path must lead to the same route as endpoints read it.
    if reading and reading ~= path then other, other_value, other_stem = at_port(txn, port, reading) end
    local target, value, stem = at_port(txn, port, path)
    if other and (other ~= target or other_value ~= value or other_stem ~= stem) then return 'odd' end
    return target
end)
