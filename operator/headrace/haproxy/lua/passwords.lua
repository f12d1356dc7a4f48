-- Basic authentication by $apr1$ hashes, which HAProxy does not know: a thousand rounds of MD5, as Apache makes them. Each takes two
-- to three milliseconds, so what became of a password is remembered, under a digest that is salted anew by each thread, and how
-- many are judged is bounded for each client and each namespace.

-- By policy and the SHA-256 of the user's name: the hash.
local hashes = Map.new('maps/auth-apr1.map', Map._str)

local DIGITS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
-- How the bytes of the last digest become digits: three at a time.
local ORDER = { { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 16 }, { 5, 11, 6 } }
local ROUNDS = 1000
local REMEMBERED_SECONDS, MOST_REMEMBERED = 300, 10000
-- In a minute, and in a second, by this thread.
local MOST_OF_CLIENT, MOST_OF_NAMESPACE = 30, 40

local salt
local young, old, count = {}, {}, 0
local clients, namespaces = { since = 0 }, { since = 0 }

local function digits(number, amount)
    local found = {}
    for place = 1, amount do
        found[place] = DIGITS:sub((number & 63) + 1, (number & 63) + 1)
        number = number >> 6
    end
    return table.concat(found)
end

local function apr1(md5, password, salted)
    local digest, size = md5(password .. salted .. password), #password
    local parts = { password, '$apr1$', salted, digest:rep(size // 16), digest:sub(1, size % 16) }
    while size > 0 do
        parts[#parts + 1] = size & 1 == 1 and '\0' or password:sub(1, 1)
        size = size >> 1
    end
    digest = md5(table.concat(parts))
    for round = 0, ROUNDS - 1 do
        local odd = round & 1 == 1
        digest = md5(table.concat({
            odd and password or digest, round % 3 ~= 0 and salted or '', round % 7 ~= 0 and password or '', odd and digest or password,
        }))
    end
    local found = {}
    for place, bytes in ipairs(ORDER) do
        local first, second, third = digest:byte(bytes[1]), digest:byte(bytes[2]), digest:byte(bytes[3])
        found[place] = digits(first << 16 | second << 8 | third, 4)
    end
    return table.concat(found) .. digits(digest:byte(12), 2)
end

local function remembered(key, now)
    local found = young[key] or old[key]
    return found and now - found.since < REMEMBERED_SECONDS and found.outcome
end

local function remember(key, now, outcome)
    if count >= MOST_REMEMBERED then old, young, count = young, {}, 0 end
    young[key], count = { since = now, outcome = outcome }, count + 1
end

-- Counts an event, and tells whether there were fewer than so many in the window.
local function within(counts, window, key, most)
    if counts.since ~= window then
        for name in pairs(counts) do counts[name] = nil end
        counts.since = window
    end
    local name = ':' .. key
    counts[name] = (counts[name] or 0) + 1
    return counts[name] <= most
end

-- `good`, `wrong`, `busy` where nothing is judged for now, and `none` for a user without such a hash.
core.register_fetches('apr1', function(txn)
    local hash = hashes:lookup(txn:get_var('txn.policy') .. ':' .. txn:get_var('txn.user'))
    if not hash then return 'none' end
    local password, now = txn.f:http_auth_pass() or '', core.now().sec
    salt = salt or txn.f:uuid()
    local key = txn.c:digest(salt .. hash .. ':' .. password, 'sha256')
    local outcome = remembered(key, now)
    if outcome then return outcome end
    local client, namespace = txn.c:ipmask(txn.f:src(), 32, 64), txn:get_var('txn.backend'):match('^[^_]*')
    if not within(clients, now // 60, client, MOST_OF_CLIENT) then return 'busy' end
    if not within(namespaces, now, namespace, MOST_OF_NAMESPACE) then return 'busy' end
    local salted, wanted = hash:match('^%$apr1%$([^$]*)%$(.*)$')
    local function md5(text) return txn.c:digest(text, 'md5') end
    outcome = apr1(md5, password, salted) == wanted and 'good' or 'wrong'
    remember(key, now, outcome)
    return outcome
end)
