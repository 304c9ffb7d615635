<?php

namespace Team\Colours;

class Palette
{
    public static function hex(string $name): string
    {
        return ['green' => '#2e7d32', 'red' => '#c62828'][$name] ?? '#' . trim($name, '#');
    }
}
