-- Arguments: the Authorization header, a file of refresh tokens, the first and the last line to use.
-- The new token of every answer goes to the back of a queue and is spent in its turn, so each token is
-- presented once, as by honest clients, and a run goes on for as long as it likes.
local queue, head, tail = {}, 1, 0

function init(args)
  local number = 0
  for line in io.lines(args[2]) do
    number = number + 1
    if number > tonumber(args[4]) then break end
    if number >= tonumber(args[3]) then
      tail = tail + 1
      queue[tail] = line
    end
  end
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  wrk.headers["Authorization"] = args[1]
end

function request()
  -- "none" when more answers failed than tokens were left: counted as an error by its status.
  local token = queue[head] or "none"
  if queue[head] then
    queue[head] = nil
    head = head + 1
  end
  return wrk.format("POST", nil, nil, "grant_type=refresh_token&refresh_token=" .. token)
end

function response(_, _, body)
  local token = body:match('"refresh_token"%s*:%s*"([^"]+)"')
  if token then
    tail = tail + 1
    queue[tail] = token
  end
end
