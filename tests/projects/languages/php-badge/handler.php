<?php

require __DIR__ . "/vendor/autoload.php";

use Team\Colours\Palette;

function handler($event, $context)
{
    $text = "fnkit";
    $status = "approved";
    $color = "green";

    if (isset($event["queryStringParameters"]["text"])) {
        $text = $event["queryStringParameters"]["text"];
    }
    if (isset($event["queryStringParameters"]["color"])) {
        $color = $event["queryStringParameters"]["color"];
    }

    return [
        "body" => sprintf(
            file_get_contents(__DIR__ . "/views/badge.svg"),
            width_of($text),
            Palette::hex($color),
            htmlspecialchars($text),
            $status
        ),
        "headers" => ["Content-Type" => "image/svg+xml"],
    ];
}
