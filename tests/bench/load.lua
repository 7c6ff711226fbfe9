-- Requests for wrk out of a file, one a line: method, path and body, parted by tabs. `@N@` in a body is a number that no
-- other request has. Arguments: the file, the line to begin at, and what the numbers begin with.

local requests, position, number, prefix = {}, 0, 0, ""

function init(args)
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    if body == "" then body = nil end
    if body and body:find("@N@", 1, true) then
      requests[#requests + 1] = { method, path, body }
    else
      requests[#requests + 1] = wrk.format(method, path, nil, body)
    end
  end
  position, prefix = tonumber(args[2]), args[3]
end

local function numbered()
  number = number + 1
  return prefix .. number
end

function request()
  local chosen = requests[position % #requests + 1]
  position = position + 1
  if type(chosen) == "string" then return chosen end
  return wrk.format(chosen[1], chosen[2], nil, (chosen[3]:gsub("@N@", numbered)))
end

function done(summary)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "refused": %d, "broken": %d}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
