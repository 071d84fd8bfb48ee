-- Note what transactions got, for whoever sends them again. KEYS: ids. ARGV: features of each.
for place, name in ipairs(KEYS) do
  if redis.call('GETRANGE', name, 0, 0) == '?' then redis.call('SET', name, '=' .. ARGV[place], 'KEEPTTL') end
end
