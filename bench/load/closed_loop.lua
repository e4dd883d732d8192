-- For wrk: asks for the users that a file names, one a line, and says what happened as one line of JSON.
local requests, turn = {}, 0

function init(arguments)
  for id in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", "/users/" .. id)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"answered":%d,"seconds":%f,"notFound":%d,"failed":%d,"p50":%f,"p95":%f,"p99":%f,"p999":%f,"max":%f}',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3))
end
