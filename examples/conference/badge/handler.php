<?php

// A badge to print: GET /?name=Ada%20Lovelace&role=speaker

declare(strict_types=1);

use Conference\Names\Name;

require __DIR__ . '/vendor/autoload.php';

const COLOURS = ['guest' => '#2563eb', 'speaker' => '#b45309', 'staff' => '#15803d'];

function handle(array $event, array $context): array
{
    $query = $event['queryStringParameters'];
    $role = $query['role'] ?? 'guest';
    try {
        $name = new Name($query['name'] ?? '');
    } catch (InvalidArgumentException $problem) {
        return ['statusCode' => 422, 'body' => ['error' => $problem->getMessage()]];
    }
    if (!isset(COLOURS[$role])) {
        return ['statusCode' => 422, 'body' => ['error' => 'expected a role: ' . implode(', ', array_keys(COLOURS))]];
    }
    return ['headers' => ['Content-Type' => 'text/html; charset=utf-8'], 'body' => page($name, $role)];
}

function page(Name $name, string $role): string
{
    [$shown, $initials] = array_map(htmlspecialchars(...), [$name->shown, $name->initials()]);
    $colour = COLOURS[$role];
    return <<<HTML
        <!doctype html><title>{$shown}</title>
        <article style="border: 1mm solid {$colour}; width: 86mm; height: 54mm; text-align: center">
        <p style="font-size: 14mm; color: {$colour}">{$initials}<h1>{$shown}</h1><p>{$role}</article>
        HTML;
}
