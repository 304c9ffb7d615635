<?php

// A price as customers of a country write it: GET /?amount=1234.5&country=fr

const FORMATS = [
    'de' => [',', '.', '%s €'],
    'fr' => [',', "\u{202F}", '%s €'],
    'uk' => ['.', ',', '£%s'],
    'us' => ['.', ',', '$%s'],
];

function handle($event, $context)
{
    $query = $event['queryStringParameters'];
    $format = FORMATS[$query['country'] ?? 'fr'] ?? null;
    if ($format === null || !is_numeric($query['amount'] ?? null)) {
        return ['statusCode' => 422, 'body' => ['error' => 'expected an amount, and one of ' . implode(', ', array_keys(FORMATS))]];
    }
    [$point, $separator, $pattern] = $format;
    return [
        'headers' => ['Content-Type' => 'text/plain; charset=utf-8'],
        'body' => sprintf($pattern, number_format((float) $query['amount'], 2, $point, $separator)),
    ];
}
