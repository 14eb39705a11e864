import { backendConformance } from './backends.js';

backendConformance('js');
