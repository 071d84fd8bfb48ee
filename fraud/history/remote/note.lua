-- Note something, where what is noted is what it is thought to be, or nothing where that is empty. KEYS: notes.
-- ARGV: of each what it is thought to be, of each what it is to be, milliseconds that they stay if they are to leave.
for place, name in ipairs(KEYS) do
  if (redis.call('GET', name) or '') ~= ARGV[place] then return 0 end
end
for place, name in ipairs(KEYS) do
  redis.call('SET', name, ARGV[#KEYS + place])
  if ARGV[2 * #KEYS + 1] then redis.call('PEXPIRE', name, ARGV[2 * #KEYS + 1]) end
end
return 1
