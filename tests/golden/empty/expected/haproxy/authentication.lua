-- Asks another Service whether a request may go on. The form of the entry is that of `haproxy/encode/routes.py`.
-- txn.policy is the route's policy. The result is in txn.authentication: `allowed`, or why the Service was not asked (`busy`,
-- `large`, `unsized`). Without one the rules that follow close the request, so an error in here never opens a route. An answer
-- that the client gets as it is (401, 403) ends the request here.
--
-- Nothing of an entry, a request or an answer is ever run as code.

local policies = Map.new('maps/external-auth.map', Map._str)
local skipped = Map.new('maps/external-auth-skip.map', Map._beg)
local values, OF_CONNECTION = messages.values, messages.OF_CONNECTION

local function set(list)
    local found = {}
    for _, name in ipairs(list) do found[name] = true end
    return found
end

local CREDENTIALS = set { 'authorization', 'cookie' }

-- Entries as they were read, by their text: few are in use, and to forget all of them costs little.
local MAX_ENTRIES = 1000
local entries, entry_count = {}, 0

local function read(text)
    local entry = entries[text]
    if entry then return entry end
    local fields = messages.split(text, '|')
    entry = {
        text = text,
        timeout = tonumber(fields[1]),
        backend = fields[2],
        method = fields[3]:lower(),
        url = 'http://' .. fields[4],
        names = set(messages.split(fields[5], ',')),
        signin = fields[6],
        lifetime = tonumber(fields[7]),
        body = tonumber(fields[8]),
        cookie = fields[9] ~= '' and fields[9] .. '=',
        namespace = fields[10],
    }
    if entry_count >= MAX_ENTRIES then entries, entry_count = {}, 0 end
    entries[text], entry_count = entry, entry_count + 1
    return entry
end

-- Answers that let a request on, by namespace. Of each namespace the older half goes when the younger one is full; when all
-- together are too many, those of the namespace that has the most go.
local MAX_NAMESPACE_BYTES, MAX_BYTES = 256 * 1024, 8 * 1024 * 1024
local caches, cached_bytes = {}, 0

local function drop_largest()
    local largest
    for namespace, cache in pairs(caches) do
        if not largest or cache.all > caches[largest].all then largest = namespace end
    end
    cached_bytes = cached_bytes - caches[largest].all
    caches[largest] = nil
end

local function remember(entry, key, headers, bytes)
    if bytes > MAX_NAMESPACE_BYTES then return end
    local cache = caches[entry.namespace]
    if not cache then
        cache = { young = {}, old = {}, bytes = 0, all = 0 }
        caches[entry.namespace] = cache
    end
    if cache.bytes + bytes > MAX_NAMESPACE_BYTES then
        cached_bytes = cached_bytes - (cache.all - cache.bytes)
        cache.old, cache.young, cache.all, cache.bytes = cache.young, {}, cache.bytes, 0
    end
    cache.young[key] = { ends = core.now().sec * 1000 + entry.lifetime, headers = headers }
    cache.bytes, cache.all, cached_bytes = cache.bytes + bytes, cache.all + bytes, cached_bytes + bytes
    if cached_bytes > MAX_BYTES then drop_largest() end
end

local function remembered(entry, key)
    local cache = caches[entry.namespace]
    local answer = cache and (cache.young[key] or cache.old[key])
    return answer and answer.ends > core.now().sec * 1000 and answer.headers
end

-- Many servers cannot tell `_` from `-` in names.
local function plain(name) return (name:lower():gsub('_', '-')) end

local function remove(txn, entry, headers)
    for name in pairs(headers) do
        if entry.names[plain(name)] then txn.http:req_del_header(name) end
    end
end

local function has_two_readings(path)
    return path:find('[%%;\\]') or path:find('//', 1, true) or (path .. '/'):find('/%.+/')
end

local function is_skipped(txn, policy)
    local path = txn.f:path()
    return path and not has_two_readings(path) and skipped:lookup(policy .. ':' .. path .. '/')
end

local function original_url(txn, headers)
    local scheme = values(headers['x-forwarded-proto'])[1] or 'http'
    return scheme .. '://' .. (values(headers['host'])[1] or '') .. txn.f:pathq()
end

local function question(txn, entry, headers, url)
    local asked = {}
    for name, found in pairs(headers) do
        local ours = entry.names[plain(name)] and not CREDENTIALS[name]
        if not OF_CONNECTION[name] and not ours then asked[name] = values(found) end
    end
    local method, target = txn.f:method(), txn.f:pathq()
    asked['x-original-url'], asked['x-original-method'] = { url }, { method }
    asked['x-forwarded-uri'], asked['x-forwarded-method'] = { target }, { method }
    asked['x-auth-request-redirect'] = { target }
    return asked
end

-- Headers of an answer that the client gets, but for the cookie by which HAProxy finds the endpoint of the Service asked.
local function for_client(entry, name, found)
    local kept = {}
    for _, value in ipairs(values(found)) do
        if name ~= 'set-cookie' or not entry.cookie or value:sub(1, #entry.cookie) ~= entry.cookie then
            kept[#kept + 1] = value
        end
    end
    return kept
end

local function varint(value)
    if value < 240 then return string.char(value) end
    local found = string.char(value & 0xFF | 240)
    value = (value - 240) >> 4
    while value >= 128 do
        found = found .. string.char(value & 0xFF | 128)
        value = (value - 128) >> 7
    end
    return found .. string.char(value)
end

-- In the form of `add-headers-bin`.
local function cookies(entry, headers)
    local found = {}
    for _, value in ipairs(for_client(entry, 'set-cookie', headers['set-cookie'])) do
        found[#found + 1] = '\10set-cookie' .. varint(#value) .. value
    end
    return #found > 0 and table.concat(found) .. '\0\0'
end

local function allow(txn, headers)
    for name, found in pairs(headers) do
        for _, value in ipairs(found) do txn.http:req_add_header(name, value) end
    end
    txn:set_var('txn.authentication', 'allowed')
end

local function take(entry, headers)
    local taken, bytes = {}, 256
    for name in pairs(entry.names) do
        local found = values(headers[name])
        if #found > 0 then taken[name] = found end
        for _, value in ipairs(found) do bytes = bytes + #name + #value end
    end
    return taken, bytes
end

-- `place_of_request` and `escaped` are those of requests.lua, which is loaded before.
local function signin(txn, entry, url)
    local place = entry.signin ~= '' and place_of_request(txn, entry.signin)
    -- A value of another parameter that is the URL of the request is there in its place.
    if not place or entry.signin:find('[?&]rd=') or entry.signin:find('=${scheme}://${host}${escaped_request_uri}', 1, true) then return place end
    return place .. (place:find('?', 1, true) and '&' or '?') .. 'rd=' .. escaped(url)
end

local function refuse(txn, entry, response)
    local reply = txn:reply { status = response.status, reason = response.reason, body = response.body }
    for name, found in pairs(response.headers) do
        if not OF_CONNECTION[name] then
            for _, value in ipairs(for_client(entry, name, found)) do reply:add_header(name, value) end
        end
    end
    txn:done(reply)
end

local function cache_key(txn, policy, entry, headers, url)
    local parts = { policy, entry.text, txn.f:method(), url, txn.f:src() }
    for _, name in ipairs { 'authorization', 'cookie' } do
        parts[#parts + 1] = table.concat(values(headers[name]), '\n')
    end
    return txn.c:sha2(table.concat(parts, '\0'), 256)
end

local function judge(txn, entry, response, url, key)
    local status = response.status
    if status >= 200 and status < 300 then
        local headers, bytes = take(entry, response.headers)
        local set_cookies = cookies(entry, response.headers)
        if set_cookies then
            txn:set_var('txn.cookies', set_cookies)
        elseif key then
            remember(entry, key, headers, bytes)
        end
        allow(txn, headers)
    elseif status == 401 or status == 403 then
        local place = status == 401 and signin(txn, entry, url)
        if not place then
            refuse(txn, entry, response)
            return
        end
        local set_cookies = cookies(entry, response.headers)
        if set_cookies then txn:set_var('txn.cookies', set_cookies) end
        txn:set_var('txn.signin', place)
    elseif response.headers['x-headrace-busy'] then
        txn:set_var('txn.authentication', 'busy')
    end
end

-- Returns the body, or why it cannot be sent along. The rules have waited until it was there or the buffer was full.
local function sent_along(txn, entry, headers)
    local body, declared = txn.f:req_body() or '', values(headers['content-length'])[1]
    local length = tonumber(declared or 0)
    if not declared and (#body > 0 or headers['transfer-encoding']) then return nil, 'unsized' end
    if length > entry.body or length > #body then return nil, 'large' end
    return body
end

local function authenticate(txn)
    local policy = txn:get_var('txn.policy')
    local text = policies:lookup(policy)
    if not text then return end
    local entry, headers = read(text), txn.http:req_get_headers()
    remove(txn, entry, headers)
    -- Where the list of clients suffices, who is on it is not asked about, but says nothing for the Service either.
    if txn:get_var('txn.admitted') or is_skipped(txn, policy) then
        txn:set_var('txn.authentication', 'allowed')
        return
    end
    local body, wrong
    if entry.body > 0 then
        body, wrong = sent_along(txn, entry, headers)
        if wrong then
            txn:set_var('txn.authentication', wrong)
            return
        end
    end
    local url = original_url(txn, headers)
    local key = entry.lifetime > 0 and not (body and #body > 0) and cache_key(txn, policy, entry, headers, url)
    local known = key and remembered(entry, key)
    if known then
        allow(txn, known)
        return
    end
    -- Without a backend the frontend looks for who serves the host and path.
    local place = entry.url:find('${', 1, true) and place_of_request(txn, entry.url) or entry.url
    if place:find('${', 1, true) then return end
    local response = messages.send(entry.method, {
        url = place, headers = question(txn, entry, headers, url), body = body, timeout = entry.timeout,
    }, { backend = entry.backend ~= '' and entry.backend, namespace = entry.namespace, client = txn.f:src() })
    judge(txn, entry, response, url, key)
end

core.register_action('external-auth', { 'http-req' }, authenticate, 0)
