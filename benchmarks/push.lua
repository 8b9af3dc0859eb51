-- For wrk with one connection a thread: pushes each item of a list once.
-- An item's latency is from its first request to its last answer.
-- Thread N reads the file N of the folder that is the argument, says "ended" when it is through, and stops.
-- Each line is an item, of fields that are separated by tabs:
--   PUT   target  type    body     one request
--   POST  target  digest  body     two: the first opens a session, the second is a PUT to where the answer said

local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } moment; int clock_gettime(int clock, moment *now);")

local CLOCK_MONOTONIC = 1
local items, position, location, threads = {}, 1, nil, {}
local is_probe = false

local began = 0

pushed, failed, first, last, complaint, latencies = 0, 0, 0, 0, "", {}

local function now()
   local moment = ffi.new("moment[1]")
   ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
   return tonumber(moment[0].seconds) + tonumber(moment[0].nanoseconds) / 1e9
end

function setup(thread)
   threads[#threads + 1] = thread
   thread:set("number", #threads)
end

function init(arguments)
   is_probe = number == 1
   for line in io.lines(arguments[1] .. "/" .. number) do
      local method, target, about, body = line:match("^(%u+)\t([^\t]+)\t([^\t]+)\t(.*)$")
      local item = { body = body }
      if method == "POST" then
         item.digest = about
         item.request = wrk.format("POST", target, nil, "")
      else
         item.request = wrk.format("PUT", target, { ["Content-Type"] = about, ["Host"] = wrk.headers["Host"] }, body)
      end
      items[#items + 1] = item
   end
end

-- wrk asks for the same one again where a connection broke, and once before it begins, of thread 1.
function request()
   if is_probe then
      is_probe = false
   elseif first == 0 then
      first = now()
   end
   local item = items[position]
   if location == nil then
      began = now()
      return item.request
   end
   local separator = location:find("?", 1, true) and "&" or "?"
   local headers = { ["Content-Type"] = "application/octet-stream", ["Host"] = wrk.headers["Host"] }
   return wrk.format("PUT", location .. separator .. "digest=" .. item.digest, headers, item.body)
end

function response(status, headers, body)
   local item = items[position]
   if status == 202 and item.digest ~= nil and location == nil then
      location = (headers["Location"] or headers["location"]):gsub("^https?://[^/]+", "")
      return
   end
   last = now()
   if status == 201 then
      pushed = pushed + 1
      latencies[pushed] = last - began
   else
      failed = failed + 1
      complaint = status .. " " .. body:sub(1, 200):gsub('[%c"\\]', " ")
   end
   location = nil
   position = position + 1
   if position > #items then
      io.stdout:write("ended\n")
      io.stdout:flush()
      wrk.thread:stop()
   end
end

function done()
   local all, bad, from, to, said, took = 0, 0, math.huge, 0, "", {}
   for _, thread in ipairs(threads) do
      all = all + thread:get("pushed")
      bad = bad + thread:get("failed")
      from = math.min(from, thread:get("first"))
      to = math.max(to, thread:get("last"))
      said = thread:get("complaint") ~= "" and thread:get("complaint") or said
      for _, seconds in ipairs(thread:get("latencies")) do
         took[#took + 1] = seconds
      end
   end
   table.sort(took)
   local result = '{"operations": %d, "failed": %d, "seconds": %.6f, "half": %.6f, "most": %.6f, "complaint": "%s"}'
   local half, most = took[math.ceil(#took / 2)] or 0, took[math.ceil(#took * 0.99)] or 0
   print(string.format(result, all, bad, to - from, half, most, said))
end
