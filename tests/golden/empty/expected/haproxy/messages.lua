-- What the other files share about HTTP messages: it is loaded first, and defines the table `messages`.

messages = {}

local FRONTEND = 'unix@' .. (os.getenv('HEADRACE_SOCKETS') or '/run/headrace') .. '/internal.sock'

-- Headers of one connection or body, which are not those of another request or answer, and the mark of an endpoint's answer.
messages.OF_CONNECTION = {
    ['connection'] = true, ['content-length'] = true, ['expect'] = true, ['host'] = true, ['http2-settings'] = true,
    ['keep-alive'] = true, ['proxy-connection'] = true, ['te'] = true, ['trailer'] = true, ['transfer-encoding'] = true,
    ['upgrade'] = true, ['x-headrace-answer'] = true,
}

function messages.split(text, separator)
    local parts, first = {}, 1
    while true do
        local place = text:find(separator, first, true)
        if not place then
            parts[#parts + 1] = text:sub(first)
            return parts
        end
        parts[#parts + 1] = text:sub(first, place - 1)
        first = place + 1
    end
end

-- Values of a header in their order; HAProxy counts them from 0.
function messages.values(header)
    local values, number = {}, 0
    while header and header[number] do
        values[number + 1] = header[number]
        number = number + 1
    end
    return values
end

-- The value of a request's header, nil where it has none; several are joined by commas.
function messages.header(txn, name)
    local count = txn.f:req_fhdr_cnt(name)
    if count <= 1 then return count == 1 and txn.f:req_fhdr(name, 1) or nil end
    local values = {}
    for number = 1, count do values[number] = txn.f:req_fhdr(name, number) end
    return table.concat(values, ',')
end

-- Sends a request by the frontend `internal`, which reads from headers to which backend it goes (nil: to who serves its host and path),
-- which namespace asks (nil: the backend's), how many milliseconds it may take, whose it is, and what it is for (nil for authentication): each purpose of a namespace is counted for itself. Waits for the answer.
function messages.send(method, request, to)
    local headers = request.headers
    headers['x-headrace-backend'], headers['x-headrace-timeout'] = to.backend and { to.backend } or nil, { tostring(request.timeout) }
    headers['x-headrace-namespace'] = { to.namespace or to.backend:match('^[^_]*') }
    headers['x-headrace-client'], headers['x-headrace-purpose'] = { to.client }, to.purpose and { to.purpose }
    request.dst = FRONTEND
    local http = core.httpclient()
    return http[method](http, request)
end
