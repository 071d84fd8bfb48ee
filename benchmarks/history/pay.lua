-- wrk script: POST transactions of random customers and terminals, so many of each as the first two arguments say.
local customers, terminals, sent, id = 1, 1, 0, ""

function setup(thread) thread:set("seed", os.time()) end

function init(arguments)
  customers, terminals, id = tonumber(arguments[1]), tonumber(arguments[2]), arguments[3]
  math.randomseed(seed)
end

function request()
  sent = sent + 1
  local body = string.format(
    '{"TRANSACTION_ID":"%s-%d","TX_DATETIME":%d,"TX_AMOUNT":%.2f,"CUSTOMER_ID":"c%d","TERMINAL_ID":"t%d"}',
    id, sent, os.time(), math.random(1, 20000) / 100, math.random(customers), math.random(terminals))
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "p50": %.1f, "p99": %.1f, "errors": %d}\n', summary.requests,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
