-- Arguments: the Authorization header, path and query of the authorization endpoint, the path of the token endpoint,
-- the beginning of the token request's form, a file of cookies.
-- A browser that is signed in asks for a code; whichever connection is free next redeems it. Each code is redeemed
-- once. What is counted is whole flows: an answer of the token endpoint with an access token.
local cookies, browser = {}, 0
local codes, head, tail = {}, 1, 0
local authorization, authorize, token, form
local threads = {}
done_flows, failed = 0, 0

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  authorization, authorize, token, form = args[1], args[2], args[3], args[4]
  for line in io.lines(args[5]) do
    cookies[#cookies + 1] = line
  end
end

function request()
  local code = codes[head]
  if code then
    codes[head] = nil
    head = head + 1
    return wrk.format("POST", token, {
      ["Content-Type"] = "application/x-www-form-urlencoded",
      ["Authorization"] = authorization,
    }, form .. code)
  end
  browser = browser % #cookies + 1
  return wrk.format("GET", authorize, { ["Accept"] = "text/html", ["Cookie"] = cookies[browser] })
end

function response(status, headers, body)
  if status == 302 or status == 303 then
    local location = headers["Location"] or headers["location"] or ""
    local code = location:match("[?&]code=([^&#]+)")
    if code then
      tail = tail + 1
      codes[tail] = code
      return
    end
  elseif status == 200 and body:find('"access_token"', 1, true) then
    done_flows = done_flows + 1
    return
  end
  failed = failed + 1
end

function done(summary)
  local flows, failures = 0, 0
  for _, thread in ipairs(threads) do
    flows = flows + thread:get("done_flows")
    failures = failures + thread:get("failed")
  end
  io.write(string.format("DONE %d FAILED %d SECONDS %.6f\n", flows, failures, summary.duration / 1e6))
end
