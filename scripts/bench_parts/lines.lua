-- Arguments: the Authorization header or "-", the beginning of the form, a file, "again" or "once".
-- Every request is the beginning and the next line of the file.
local lines, number, form, again = {}, 0, "", false

function init(args)
  form = args[2]
  again = args[4] == "again"
  for line in io.lines(args[3]) do
    lines[#lines + 1] = line
  end
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  if args[1] ~= "-" then
    wrk.headers["Authorization"] = args[1]
  end
end

function request()
  number = number + 1
  if again and number > #lines then
    number = 1
  end
  -- "none" when all are used up: refused, and so counted as an error.
  return wrk.format("POST", nil, nil, form .. (lines[number] or "none"))
end
