-- For wrk: GETs a list of targets again and again.
-- A thread N reads the file N of the folder that is the argument; each line is a target.

local requests, position, count = {}, 0, 0

function setup(thread)
   count = count + 1
   thread:set("number", count)
end

function init(arguments)
   wrk.headers["Accept"] = "application/vnd.oci.image.manifest.v1+json, */*"
   for target in io.lines(arguments[1] .. "/" .. number) do
      requests[#requests + 1] = wrk.format("GET", target)
   end
end

function request()
   position = position % #requests + 1
   return requests[position]
end

function done(summary)
   local errors = summary.errors
   local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
   print(string.format('{"operations": %d, "failed": %d, "seconds": %.6f, "complaint": "%s"}',
      summary.requests, failed, summary.duration / 1e6,
      string.format("%d of 4xx and 5xx, %d broken connections, %d timeouts", errors.status,
         errors.connect + errors.read + errors.write, errors.timeout)))
end
