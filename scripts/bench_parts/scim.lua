-- Arguments: the Authorization header, a name for the run. Every request creates somebody new.
local number, run = 0, ""

function init(args)
  run = string.lower(args[2])
  wrk.headers["Content-Type"] = "application/scim+json"
  wrk.headers["Authorization"] = args[1]
end

function request()
  number = number + 1
  local login = number .. "-" .. run .. "@example.com"
  local body = '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"' .. login
    .. '","externalId":"' .. login .. '","name":{"givenName":"A","familyName":"Person"},"active":true,'
    .. '"emails":[{"value":"' .. login .. '","type":"work","primary":true}]}'
  return wrk.format("POST", nil, nil, body)
end
