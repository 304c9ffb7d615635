<?php

function factorial($n)
{
    $result = 1;
    for ($i = 1; $i <= $n; $i++) {
        $result *= $i;
    }
    return $result;
}

function handle($event, $context)
{
    $n = intval($event["body"]);
    $result = factorial($n);

    echo "php: factorial of $n is $result\n";

    return [
        "statusCode" => 200,
        "headers" => ["Content-Type" => "text/plain"],
        "body" => $result,
    ];
}
