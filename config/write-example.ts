import { writeFileSync } from 'node:fs';
import { shippedFile } from '../core/paths.js';
import { exampleYaml } from './example.js';

writeFileSync(shippedFile('config/gruard.example.yaml'), exampleYaml());
