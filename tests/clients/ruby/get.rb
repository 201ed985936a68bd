# get.rb URL: prints what the URL answers with 200.
require 'net/http'

answer = Net::HTTP.get_response(URI(ARGV[0]))
abort "status #{answer.code}" unless answer.code == '200'
puts answer.body
