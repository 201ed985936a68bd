<?php
// streams.php URL: prints what the URL answers with 200.

// PHP's streams read no proxy variable. These lines are the way out that docs/clients.md gives.
$proxy = parse_url(getenv('HTTPS_PROXY'));
stream_context_set_default(['http' => [
    'proxy' => "tcp://{$proxy['host']}:{$proxy['port']}",
    'header' => 'Proxy-Authorization: Basic ' . base64_encode("{$proxy['user']}:{$proxy['pass']}"),
]]);

$body = file_get_contents($argv[1]);
if ($body === false) {
    exit(1);
}
echo $body, "\n";
