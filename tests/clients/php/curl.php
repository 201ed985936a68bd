<?php
// curl.php URL: prints what the URL answers with 200.
$handle = curl_init($argv[1]);
curl_setopt_array($handle, [CURLOPT_RETURNTRANSFER => true, CURLOPT_FAILONERROR => true]);
$body = curl_exec($handle);
if ($body === false) {
    fwrite(STDERR, curl_error($handle) . "\n");
    exit(1);
}
echo $body, "\n";
